"""The Authorization header, read strictly."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.auth.principals import Principal
from shared.errors import Unauthenticated

if TYPE_CHECKING:
    from shared.auth.tokens import Verifier

_BEARER = re.compile(rb"(?i:bearer) ([A-Za-z0-9._~+/-]+=*)")

_documented = HTTPBearer(
    bearerFormat="JWT",
    scheme_name="bearerJWT",
    description="A JWT of the identity provider; in development, of `fairdrop token`.",
    auto_error=False,
)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of the one Authorization header. Raises Unauthenticated.

    `headers` are those of the ASGI scope. The token may be a JWT or anything else by its form.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise Unauthenticated
    match = _BEARER.fullmatch(values[0])
    if match is None or len(values) > 1:
        raise Unauthenticated("The Authorization header must be: Bearer <token>.")
    return match[1].decode()


async def authenticated(
    request: Request,
    _openapi: Annotated[HTTPAuthorizationCredentials | None, Security(_documented)],
) -> Principal:
    """Depend on this for the caller, verified by `app.state.verifier`."""
    verifier: Verifier = request.app.state.verifier
    return await verifier.authenticate(bearer_token(request.scope["headers"]))
