"""Who signed a request."""

from collections import OrderedDict
from typing import TYPE_CHECKING
from uuid import UUID

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.refusals import BadSignature
from services.redeem.signatures import SignatureFault, parse_signature, verify
from shared.errors import Busy
from shared.ids import city_of
from shared.request_signing import Message
from shared.terminal_keys import TerminalKeys, terminal_of

if TYPE_CHECKING:
    from starlette.types import Scope

    from shared.db.calling import Calls

_TERMINALS_KEPT_MAX = 50_000
_TERMINAL = "SELECT true FROM campaign.terminals WHERE city_id = $1 AND terminal_id = $2"
_RETRY_MS = 500


def signed_message(scope: "Scope", body: bytes) -> Message:
    """Return a request as it came over the wire."""
    return Message(
        method=scope["method"],
        path=scope["raw_path"],
        query=scope["query_string"],
        headers=scope["headers"],
        body=body,
        scheme=scope["scheme"],
    )


class Tills:
    """Knows tills by their signatures.

    The signature is checked first: every key id has a secret, so nobody learns which ids are
    terminals', and nobody without a secret makes us ask the database. A terminal that exists is
    remembered; whether it is suspended, every decision asks for itself.
    """

    def __init__(self, keys: TerminalKeys, calls: "Calls") -> None:
        self._keys = keys
        self._calls = calls
        self._known: OrderedDict[UUID, Till] = OrderedDict()

    async def identify(self, message: Message, *, now_s: float, until_s: float) -> Till:
        """Return the till that signed a message. `now_s` is real time, `until_s` loop time.

        Raises:
            BadSignature: nobody did whom we know.
            Busy: whether the terminal exists could not be read in time.
        """
        signed = parse_signature(message.headers)
        if isinstance(signed, SignatureFault):
            raise BadSignature.because(signed)
        fault = verify(signed, message, key=self._keys.secret(signed.key_id), now_s=now_s)
        if fault is not None:
            raise BadSignature.because(fault)
        terminal_id = terminal_of(signed.key_id)
        till = self._known.get(terminal_id) if terminal_id else None
        if till is None and terminal_id is not None:
            till = await self._find(terminal_id, until_s=until_s)
        if till is None:
            raise BadSignature.because(SignatureFault.WRONG_SIGNATURE)
        return till

    async def _find(self, terminal_id: UUID, *, until_s: float) -> Till | None:
        city_id = city_of(terminal_id)
        found = await insist(
            lambda: self._calls.call("fetch", _TERMINAL, city_id, terminal_id), until_s=until_s
        )
        if found is None:
            raise Busy(retry_after_ms=_RETRY_MS)
        if not found:
            return None
        till = self._known[terminal_id] = Till(city_id, terminal_id)
        if len(self._known) > _TERMINALS_KEPT_MAX:
            self._known.popitem(last=False)
        return till
