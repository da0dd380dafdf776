"""What goes wrong at the bank and at the wallet's operator, on command, so that it can be found."""

from typing import Annotated

from pydantic import Field

from shared.web.fields import StrictModel

_COUNT = Annotated[int, Field(ge=0, le=100)]
_SHARE = Annotated[float, Field(ge=0, le=1)]


class DifferencesModel(StrictModel):
    """Differences planted into statements: how many of each kind, over all days together.

    omit: a booking that the statement leaves out. extra: a row that the books know nothing of.
    amount: a row with another amount. duplicate: a row twice. direction: in for out, or out for in.
    """

    omit: _COUNT = 0
    extra: _COUNT = 0
    amount: _COUNT = 0
    duplicate: _COUNT = 0
    direction: _COUNT = 0
    seed: int

    @property
    def kinds(self) -> list[str]:
        """Every difference by its kind, in this order."""
        counted = self.model_dump(exclude={"seed"})
        return [kind for kind, count in counted.items() for _ in range(count)]


class TroubleModel(StrictModel):
    """`rejected_payouts` fail once each. The shares are of the payments told to an operator.

    Some it does not answer (silent), some never reach it (lost), some it hears twice (doubled).
    """

    rejected_payouts: _COUNT = 0
    silent_share: _SHARE = 0.0
    lost_share: _SHARE = 0.0
    doubled_share: _SHARE = 0.0
    differences: DifferencesModel
