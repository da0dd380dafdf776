"""Who asks for a pack: the bearer of a JWT, or of a pass that was traded for one."""

from typing import TYPE_CHECKING

from services.claim import passes
from services.claim.holders import Holder, Identities
from services.claim.refusals import BadPass, PassRequired
from shared.auth.roles import Role
from shared.errors import Forbidden, InvalidRequest

if TYPE_CHECKING:
    from services.claim.definitions import Definition
    from shared.auth.tokens import Verifier

_KEY_LENGTH_MAX = 255


class Admitting:
    """Turns a bearer token into the holder who claims."""

    def __init__(
        self, *, verifier: "Verifier", identities: Identities, signed: passes.Passes
    ) -> None:
        self._verifier = verifier
        self._identities = identities
        self._passes = signed

    async def holder(self, token: str, definition: "Definition", *, now_us: int) -> Holder:
        """Return who claims from a drop.

        Raises:
            Unauthenticated: the JWT is not accepted.
            Forbidden: it is not a resident's.
            BadPass: the pass is forged, expired, or for another drop.
            PassRequired: the drop admits by pass, and this is none.
        """
        if token.startswith(passes.PREFIX):
            granted = self._passes.check(token)
            if granted is None or granted.drop_id != definition.drop_id:
                raise BadPass
            if now_us >= granted.expires_us:
                raise BadPass("The pass has expired.")
            return granted.holder
        principal = await self._verifier.authenticate(token)
        if Role.RESIDENT not in principal.roles:
            raise Forbidden("Packs are for residents.")
        if definition.admission == "pass":
            raise PassRequired
        return Holder(self._identities.subject_hash(definition.city_id, principal.subject))


def request_key(definition: "Definition", header: bytes | None) -> str:
    """Return what tells a holder's requests apart: nothing where one pack is all there is.

    Raises:
        InvalidRequest: a key is needed and missing, or it is not 1-255 visible ASCII characters.
    """
    if header is None:
        if definition.limit_per_holder > 1:
            raise InvalidRequest.at(
                "header", "Idempotency-Key", msg="is required where a holder may claim twice"
            )
        return ""
    key = header.decode("latin-1")
    # The header is a structured-field string (quoted); most clients send the bare key.
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not (0 < len(key) <= _KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
        raise InvalidRequest.at(
            "header", "Idempotency-Key", msg="must be 1 to 255 visible ASCII characters"
        )
    return key if definition.limit_per_holder > 1 else ""
