"""Telling the gate what the ledger decided."""

import asyncio
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from shared.gate.gate import Gate, GateError
from shared.gate.statement import Statement

_PATIENCE_S = 0.5

_log = structlog.stdlib.get_logger("fairdrop.campaign")


class GateTeller:
    """Hands statements to the gate, best effort: a gate that missed one heals by itself."""

    def __init__(self, gate: Gate, registry: CollectorRegistry) -> None:
        self._gate = gate
        self._told = Counter(
            "fairdrop_campaign_gate_statements",
            "Statements of the ledger handed to the gate after a change of a drop.",
            ("outcome",),
            registry=registry,
        )

    async def tell(self, drop_id: UUID, statement: Statement) -> None:
        """Hand a committed statement over, within half a second or not at all."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._gate.take(drop_id, statement)
        except (GateError, OSError, TimeoutError) as fault:
            self._told.labels("missed").inc()
            _log.warning(
                "the gate was not told",
                drop_id=str(drop_id),
                version=statement.version,
                cause=repr(fault),
            )
        else:
            self._told.labels("told").inc()
