"""Roles and the Authorization header, over HTTP."""

from collections.abc import Iterator

import pytest

from shared.auth.bearer import bearer_token
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role
from shared.auth.staff import require_staff
from shared.errors import Unauthenticated
from shared.invariant import InvariantViolatedError
from tests.web.serving import SmallServer, serving


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    with serving(tmp_path_factory.mktemp("small")) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "allowed"), [("/v1/staff", {"operator", "approver"}), ("/v1/resident", {"resident"})]
)
def test_each_route_knows_its_roles(small: SmallServer, path: str, allowed: set[str]) -> None:
    issuer = DevelopmentIssuer(small.data)
    for role in (*Role, "stranger", "Operator", "*"):
        token = issuer.issue("someone", [role])
        answer = small.call("GET", path, headers={"authorization": f"Bearer {token}"})
        if role in allowed:
            assert (answer.status, answer.json) == (200, "someone")
        else:
            answer.assert_problem(403, "forbidden")
    several = issuer.issue("someone", list(Role))
    assert small.call("GET", path, headers={"authorization": f"bearer {several}"}).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer a.b.c", "Basic dTpw", "Bearer a b", "Bearer " + "a" * 9000],
)
def test_bad_credentials_are_401(small: SmallServer, authorization: str) -> None:
    answer = small.call("GET", "/v1/staff", headers={"authorization": authorization})
    answer.assert_problem(401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_no_credentials_are_401(small: SmallServer) -> None:
    small.call("GET", "/v1/resident").assert_problem(401, "unauthenticated")


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer  a"],
        [b"Bearer\ta"],
        [b" Bearer a"],
        [b"Bearer a "],
        [b"Bearer a,b"],
        [b"Bearer =a"],
        [b"Bearer \xff"],
        [b"Basic a"],
        [b"Bearer a", b"Bearer a"],
        [b"Bearer a", b"Basic b"],
    ],
)
def test_one_strict_authorization_header_is_read(values: list[bytes]) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token([(b"authorization", value) for value in values])


def test_a_token_of_any_form_is_read() -> None:
    assert bearer_token([(b"host", b"x"), (b"authorization", b"BEARER p1.a-b_c~/+==")]) == (
        "p1.a-b_c~/+=="
    )


def test_a_staff_route_must_name_staff_roles() -> None:
    for roles in ((), (Role.RESIDENT,), (Role.OPERATOR, Role.RESIDENT)):
        with pytest.raises(InvariantViolatedError):
            require_staff(*roles)
