import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.keys import IdentityProviderError, load_jwks, parse_jwks
from shared.auth.principals import ClaimsRefusedError
from shared.auth.tokens import open_verifier
from shared.errors import Unauthenticated
from tests.auth.forging import encoded, good_claims, signed_token

KEY = Ed25519PrivateKey.generate()


def ed25519_jwk(key: Ed25519PrivateKey = KEY, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    raw = key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "kid": "key-1", "x": encoded(raw), **changes}


def rsa_jwk(bits: int, kid: str) -> dict[str, Any]:
    public = rsa.generate_private_key(65537, bits).public_key()
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True), "kid": kid}


def jwks_file(folder: Path, *keys: dict[str, Any]) -> str:
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": list(keys)}))
    return str(path)


@contextmanager
def jwks_server(*keys: dict[str, Any], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps({"keys": list(keys)}).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks"
        finally:
            server.shutdown()
            thread.join()


async def test_without_an_identity_provider_the_data_dirs_tokens_are_good(tmp_path: Path) -> None:
    issuer = DevelopmentIssuer(tmp_path / "new" / "data")
    verifier = await open_verifier(tmp_path / "new" / "data", {})
    token = issuer.issue("op-1", ["operator"], cities=["hangzhou"], attributes={"lanes": ["a"]})
    principal = await verifier.authenticate(token)
    assert (principal.subject, principal.roles) == ("op-1", frozenset({"operator"}))
    assert principal.attributes.lanes == {"a"}
    assert principal.may_act_in("hangzhou")
    assert not principal.may_act_in("ningbo")
    assert verifier.verify(issuer.issue("a", ["auditor"], cities=["*"])).may_act_in("ningbo")
    stranger = DevelopmentIssuer(tmp_path / "other")
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(stranger.issue("op-1", ["operator"]))
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(issuer.issue("op-1", ["operator"], ttl_s=-10))


def test_the_issuer_refuses_what_services_would(tmp_path: Path) -> None:
    with pytest.raises(ClaimsRefusedError):
        DevelopmentIssuer(tmp_path).issue("a\0b", ["resident"])


def test_the_development_key_is_private_and_stays(tmp_path: Path) -> None:
    issuers: list[DevelopmentIssuer] = []
    threads = [
        threading.Thread(target=lambda: issuers.append(DevelopmentIssuer(tmp_path)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issuers) == 16
    assert len({kid for issuer in issuers for kid in issuer.keys}) == 1
    [key_file] = list(tmp_path.iterdir())
    assert key_file.stat().st_mode & 0o777 == 0o600

    key_file.chmod(0o640)
    with pytest.raises(IdentityProviderError, match="chmod 600"):
        DevelopmentIssuer(tmp_path)
    key_file.chmod(0o600)
    key_file.write_text("damaged")
    with pytest.raises(IdentityProviderError, match="damaged"):
        DevelopmentIssuer(tmp_path)


async def test_with_an_identity_provider_development_tokens_are_refused(tmp_path: Path) -> None:
    environ = {"FAIRDROP_JWKS": jwks_file(tmp_path, ed25519_jwk()), "FAIRDROP_JWT_ISSUER": "issuer"}
    verifier = await open_verifier(tmp_path, environ)
    assert (await verifier.authenticate(signed_token(KEY))).subject == "resident-1"
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(DevelopmentIssuer(tmp_path).issue("op-1", ["operator"]))


async def test_the_development_issuers_name_alone_opens_nothing(tmp_path: Path) -> None:
    issuer = DevelopmentIssuer(tmp_path)
    environ = {
        "FAIRDROP_JWKS": jwks_file(tmp_path, ed25519_jwk()),
        "FAIRDROP_JWT_ISSUER": "fairdrop-dev",
    }
    verifier = await open_verifier(tmp_path, environ)
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(issuer.issue("op-1", ["operator"]))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "FAIRDROP_JWT_ISSUER"),
        ({"FAIRDROP_JWT_ISSUER": "i", "FAIRDROP_JWT_ALGORITHM": "HS256"}, "HS256"),
        ({"FAIRDROP_JWT_ISSUER": "i", "FAIRDROP_JWT_ALGORITHM": "none"}, "none"),
        ({"FAIRDROP_JWT_ISSUER": "i", "FAIRDROP_JWT_ALGORITHM": "RS256"}, "no key"),
    ],
)
async def test_a_wrong_setting_says_so(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    location = jwks_file(tmp_path, ed25519_jwk())
    with pytest.raises(IdentityProviderError, match=message):
        await open_verifier(tmp_path, {"FAIRDROP_JWKS": location, **environ})


async def test_another_algorithm_is_pinned_as_strictly(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    entry = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "key-1"}
    environ = {
        "FAIRDROP_JWKS": jwks_file(tmp_path, entry, ed25519_jwk(kid="key-2")),
        "FAIRDROP_JWT_ISSUER": "issuer",
        "FAIRDROP_JWT_ALGORITHM": "ES256",
    }
    verifier = await open_verifier(tmp_path, environ)
    good = jwt.encode(good_claims(), key, "ES256", {"kid": "key-1"})
    assert (await verifier.authenticate(good)).subject == "resident-1"
    for header in ({"kid": "key-1"}, {"kid": "key-2"}):
        with pytest.raises(Unauthenticated):
            await verifier.authenticate(signed_token(KEY, header=header))


async def test_keys_come_over_http(tmp_path: Path) -> None:
    with jwks_server(ed25519_jwk()) as location:
        environ = {"FAIRDROP_JWKS": location, "FAIRDROP_JWT_ISSUER": "issuer"}
        verifier = await open_verifier(tmp_path, environ)
    # The provider is gone now: known keys stay good, and an unknown one is only refused.
    await verifier.authenticate(signed_token(KEY))
    verifier._keys._attempted_at_s -= 61
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(signed_token(KEY, header={"kid": "key-9"}))
    assert (await verifier.authenticate(signed_token(KEY))).subject == "resident-1"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_provider_that_answers_wrongly_is_reported(status: int) -> None:
    with (
        jwks_server(ed25519_jwk(), status=status) as location,
        pytest.raises(IdentityProviderError, match="cannot be read"),
    ):
        load_jwks(location, "EdDSA")


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/jwks", "/nowhere/jwks.json", "/dev/null", "file:///etc/hosts"]
)
def test_keys_that_cannot_be_read_are_reported(location: str) -> None:
    with pytest.raises(IdentityProviderError, match="cannot be read"):
        load_jwks(location, "EdDSA")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "not a JWK set"),
        ([], "not a JWK set"),
        ({}, "not a JWK set"),
        ({"keys": {}}, "not a JWK set"),
        ({"keys": []}, "no key"),
        ({"keys": [None, 7, "x", {}, {"kid": "a"}]}, "no key"),
        ({"keys": [ed25519_jwk(kid=None)]}, "no key"),
        ({"keys": [ed25519_jwk(use="enc")]}, "no key"),
        ({"keys": [ed25519_jwk(alg="HS256")]}, "no key"),
        ({"keys": [ed25519_jwk(x="AAAA")]}, "no key"),
        ({"keys": [{"kty": "oct", "kid": "key-1", "k": "c2VjcmV0"}]}, "no key"),
        ({"keys": [ed25519_jwk(), ed25519_jwk()]}, "two keys"),
        ({"keys": [ed25519_jwk(d="AAAA")]}, "private key"),
    ],
)
def test_unfit_key_sets_are_refused(document: object, message: str) -> None:
    with pytest.raises(IdentityProviderError, match=message):
        parse_jwks(document, "EdDSA")


def test_short_rsa_keys_are_passed_over() -> None:
    keys = parse_jwks({"keys": [rsa_jwk(1024, "short"), rsa_jwk(2048, "long")]}, "RS256")
    assert set(keys) == {"long"}
