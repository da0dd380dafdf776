"""What the verifier takes, and every known way to trick one."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.auth import tokens
from shared.auth.keys import KeySource
from shared.auth.principals import Principal, ResidentAttributes
from shared.auth.tokens import Verifier
from shared.errors import Unauthenticated
from tests.auth.forging import (
    KID,
    changed,
    encoded,
    good_claims,
    good_header,
    hs256,
    seconds,
    signed_token,
    token_of,
)

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()


def make_verifier(**options: Any) -> Verifier:  # noqa: ANN401 - passed on as they are
    keys = KeySource(lambda: {KID: KEY.public_key()})
    return Verifier(keys, issuer="issuer", algorithm="EdDSA", **options)


def test_a_good_token_says_who_is_calling() -> None:
    claims = {
        "roles": ["resident", "tester"],
        "cities": ["hangzhou"],
        "city": "杭州",
        "district": "西湖",
        "age_band": "60+",
        "lanes": ["offline"],
        "nbf": seconds(-1),
        "unknown": {"ignored": True},
    }
    expires_at = seconds(60)
    assert make_verifier().verify(signed_token(KEY, {**claims, "exp": expires_at})) == Principal(
        subject="resident-1",
        roles=frozenset({"resident", "tester"}),
        cities=frozenset({"hangzhou"}),
        attributes=ResidentAttributes("杭州", "西湖", "60+", frozenset({"offline"})),
        expires_at=expires_at,
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["other", "fairdrop"]},
        {"iat": ...},
        {"sub": "x" * 128},
        {"sub": "a b~!"},
        {"roles": []},
        {"cities": None, "city": None, "lanes": []},
    ],
)
def test_forms_that_are_allowed(claims: dict[str, Any]) -> None:
    make_verifier().verify(signed_token(KEY, claims))


def test_clocks_may_differ_by_a_few_seconds() -> None:
    make_verifier().verify(signed_token(KEY, {"exp": seconds(-2), "nbf": seconds(2)}))
    for claims in ({"exp": seconds(-6)}, {"nbf": seconds(8)}, {"iat": seconds(8)}):
        with pytest.raises(Unauthenticated):
            make_verifier().verify(signed_token(KEY, claims))


TOMORROW = seconds(24 * 3600)
BAD_CLAIMS: dict[str, list[Any]] = {
    "aud": [..., None, "", [], "other", ["other"], 7, {"fairdrop": 1}, [7]],
    "iss": [..., None, "", "fairdrop-dev", "Issuer", 7, ["issuer"]],
    "exp": [..., None, "9999999999", True, [], 10**400, float("nan"), float("inf"), -1, 0, 0.5],
    "nbf": [TOMORROW, "soon", [], float("inf")],
    "iat": [TOMORROW, "then", {}],
    "sub": [
        *(..., None, "", 7, ["a"], {}, "x" * 129, "a\0b", "a\nb", "\ud800", "居民", "a\x7f"),
        "a\u202eb",
    ],
    "roles": [
        *(..., None, "operator", {"operator": 1}, [7], [None], [""], ["x" * 65], ["a\0"]),
        *([["operator"]], ["r"] * 65),
    ],
    "cities": ["*", {"*": 1}, [7], [None], ["\0"], ["c"] * 65],
    "city": [7, [], "", "x" * 65, "a\0", "\udfff"],
    "lanes": ["offline", [7], [""]],
}
BAD_HEADERS: dict[str, list[Any]] = {
    "alg": [..., None, "none", "None", "HS256", "RS256", "Ed25519", ["EdDSA"]],
    "kid": [..., None, "", "key-2", 7, [KID], "../../dev/null", "' OR 1=1"],
    "typ": ["JWE", "dpop+jwt", 7, None, []],
    "crit": [["exp"], ["b64"], [], None, "exp"],
    "b64": [True, False],
}


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({name: bad}, id=f"{name}-{number}")
        for name, values in BAD_CLAIMS.items()
        for number, bad in enumerate(values)
    ],
)
def test_a_signed_token_with_bad_claims_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        make_verifier().verify(signed_token(KEY, claims))


@pytest.mark.parametrize(
    "header",
    [
        *({name: bad} for name, values in BAD_HEADERS.items() for bad in values),
        {"b64": False, "crit": ["b64"]},
    ],
    ids=repr,
)
def test_a_signed_token_with_a_bad_header_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        make_verifier().verify(signed_token(KEY, header=header))


def test_a_header_never_brings_its_own_key() -> None:
    raw = OTHER_KEY.public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw), "kid": KID}
    for header in (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"x5c": ["MIIB"]},
    ):
        with pytest.raises(Unauthenticated):
            make_verifier().verify(signed_token(OTHER_KEY, header=header))
        make_verifier().verify(signed_token(KEY, header=header))


def test_the_public_key_is_no_secret_for_hs256() -> None:
    public = KEY.public_key()
    secrets = [
        public.public_bytes_raw(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        b"",
    ]
    for secret in secrets:
        for alg in ("HS256", "EdDSA"):
            header = json.dumps({**good_header(), "alg": alg}).encode()
            forged = token_of(header, json.dumps(good_claims()).encode(), hs256(secret))
            with pytest.raises(Unauthenticated):
                make_verifier().verify(forged)


@pytest.mark.parametrize("alg", ["none", "None", "EdDSA"])
def test_an_unsigned_token_is_refused(alg: str) -> None:
    header = encoded(json.dumps({**good_header(), "alg": alg}).encode())
    claims = encoded(json.dumps(good_claims()).encode())
    for forged in (f"{header}.{claims}.", f"{header}.{claims}", f"{header}.{claims}.AAAA"):
        with pytest.raises(Unauthenticated):
            make_verifier().verify(forged)


def test_a_duplicated_header_member_is_refused() -> None:
    for header in (
        f'{{"alg":"EdDSA","kid":"other","kid":"{KID}"}}',
        f'{{"alg":"none","alg":"EdDSA","kid":"{KID}"}}',
    ):
        forged = token_of(header.encode(), json.dumps(good_claims()).encode(), KEY.sign)
        with pytest.raises(Unauthenticated):
            make_verifier().verify(forged)


def test_changing_any_part_breaks_the_signature() -> None:
    header, claims, signature = signed_token(KEY).split(".")
    raised = encoded(json.dumps({**good_claims(), "roles": ["approver"]}).encode())
    typed = encoded(json.dumps(changed(good_header(), {"typ": ...})).encode())
    for forged in (f"{header}.{raised}.{signature}", f"{typed}.{claims}.{signature}"):
        with pytest.raises(Unauthenticated):
            make_verifier().verify(forged)
    with pytest.raises(Unauthenticated):
        make_verifier().verify(signed_token(OTHER_KEY))


@pytest.mark.parametrize(
    "garbage",
    [
        *("", ".", "..", "...", "a.b.c", "a.b.c.d", "e30.e30.e30", "bnVsbA.e30.e30", "W10.e30.e30"),
        *("\0", "\ud800.a.b", "令.牌.x", " ", "=.=.=", "a" * 9000, "a.b." + "c" * 9000),
        encoded(b"[" * 5000) + ".e30.e30",
        encoded(b'{"alg":' + b"9" * 5000 + b"}") + ".e30.e30",
        encoded(b"\xff\xfe") + ".e30.e30",
    ],
)
def test_garbage_is_refused(garbage: str) -> None:
    with pytest.raises(Unauthenticated):
        make_verifier().verify(garbage)


def test_every_truncation_of_a_good_token_is_refused() -> None:
    token = signed_token(KEY)
    verifier = make_verifier()
    for length in range(len(token)):
        with pytest.raises(Unauthenticated):
            verifier.verify(token[:length])
    for spelling in (token + "=", token + "!", token[:-3] + "!" + token[-3:], "\n" + token):
        with pytest.raises(Unauthenticated):
            verifier.verify(spelling)


def test_signed_claims_that_are_not_an_object_are_refused() -> None:
    header = json.dumps(good_header()).encode()
    for claims in (b"null", b"[]", b"7", b"", b"{", b"[" * 4000, b"\xff", b'"x"'):
        with pytest.raises(Unauthenticated):
            make_verifier().verify(token_of(header, claims, KEY.sign))


def test_an_oversize_token_is_refused_although_it_is_signed() -> None:
    make_verifier().verify(signed_token(KEY, {"unknown": "x" * 5000}))
    with pytest.raises(Unauthenticated):
        make_verifier().verify(signed_token(KEY, {"unknown": "x" * 8000}))


def test_a_remembered_token_still_expires() -> None:
    verifier = make_verifier(leeway_s=0)
    token = signed_token(KEY, {"exp": seconds(2)})
    first = verifier.verify(token)
    assert verifier.verify(token) is first
    time.sleep(2.1)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


def test_the_memory_is_bounded_and_keeps_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHE_ENTRIES_MAX", 3)
    verifier = make_verifier()
    issued = [signed_token(KEY, {"sub": f"resident-{n}"}) for n in range(4)]
    first, second, *_ = [verifier.verify(token) for token in issued[:3]]
    assert verifier.verify(issued[0]) is first
    verifier.verify(issued[3])
    assert len(verifier._cache) == 3
    assert verifier.verify(issued[0]) is first
    assert verifier.verify(issued[1]) is not second
    with pytest.raises(Unauthenticated):
        verifier.verify("a.b.c")
    verifier.verify(signed_token(KEY, {"unknown": "x" * 5000}))
    assert len(verifier._cache) == 3


async def test_a_new_key_is_fetched_once_a_minute_at_most() -> None:
    loads = 0
    served = {KID: KEY.public_key()}

    def load() -> dict[str, Any]:
        nonlocal loads
        loads += 1
        return dict(served)

    keys = KeySource(load)
    verifier = Verifier(keys, issuer="issuer", algorithm="EdDSA")
    rotated = signed_token(OTHER_KEY, header={"kid": "key-2"})
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(rotated)
    assert loads == 1

    served["key-2"] = OTHER_KEY.public_key()
    keys._attempted_at_s -= 61
    together = [verifier.authenticate(rotated) for _ in range(50)]
    principals = await asyncio.gather(*together)
    assert {p.subject for p in principals} == {"resident-1"}
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await verifier.authenticate(signed_token(KEY, header={"kid": f"unknown-{number}"}))
    assert loads == 2


async def test_a_withdrawn_key_is_forgotten_with_all_its_tokens() -> None:
    served = {KID: KEY.public_key(), "key-2": OTHER_KEY.public_key()}
    keys = KeySource(lambda: dict(served))
    verifier = Verifier(keys, issuer="issuer", algorithm="EdDSA")
    token = signed_token(KEY)
    await verifier.authenticate(token)
    del served[KID]
    keys._attempted_at_s -= 61
    keys._loaded_at_s -= 601
    with suppress(Unauthenticated):  # this starts the reload, and nobody waits for it
        await verifier.authenticate(token)
    await keys.refresh()
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(token)
