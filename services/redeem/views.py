"""What a till is shown of what it asked for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.redeem.outcomes import Redemption, Reversal
from services.redeem.schemas import RedemptionView, ReversalView
from shared.clock import rfc3339
from shared.voucher_ids import VoucherIds

REPLAYED: Mapping[str, str] = MappingProxyType({"Idempotent-Replayed": "true"})
"""The header of an answer that was given before."""


def redemption_view(redemption: Redemption, ids: VoucherIds) -> RedemptionView:
    """Show a redemption; what it takes off is what was agreed, whatever became of it."""
    shown: dict[str, Any] = {
        "redemption_id": str(redemption.redemption_id),
        "voucher_id": ids.of_claim(redemption.claim_id, redemption.position + 1)[-1],
        "state": redemption.state,
        "discount_fen": redemption.discount_fen,
        "payable_by_customer_fen": redemption.order_amount_fen - redemption.discount_fen,
        "voucher_state": redemption.voucher_state,
    }
    if redemption.hold_expires_at is not None:
        shown["hold_expires_at"] = rfc3339(redemption.hold_expires_at)
    if redemption.settlement_id is not None:
        shown["settlement_id"] = str(redemption.settlement_id)
    return RedemptionView(**shown)


def reversal_view(reversal: Reversal) -> ReversalView:
    return ReversalView.model_validate(
        {
            "outcome": reversal.outcome,
            "redemption_id": None
            if reversal.redemption_id is None
            else str(reversal.redemption_id),
        }
    )
