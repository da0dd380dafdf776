"""The tables, one module per schema. Importing this package registers every model."""

from shared.tables import campaign, claim, ledger, merchants, reconciling, redeem, settling
from shared.tables.model import Model

__all__ = ["Model", "campaign", "claim", "ledger", "merchants", "reconciling", "redeem", "settling"]
