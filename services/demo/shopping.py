"""What becomes of each voucher in its week: drawn from a model, the same for the same seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.demo.claim_log import Voucher
from shared.bookkeeping.splitting import split_by_largest_remainder
from shared.web.fields import StrictModel

_WHOLE_PERCENT = 100
_WHOLE_BP = 10_000
_DAYS_MAX = 31
_ORDER_OVER_MIN_MAX = 100
_SHARE = Annotated[float, Field(ge=0, le=1)]


class ShoppingModel(StrictModel):
    """How vouchers are used. Shares `of_redeemed` are of those redeemed, the others of all.

    `percent_by_day` begins with the day of the claim. `order_over_min` is the mean order divided by
    the least that the voucher asks for; orders above that least are exponential.
    """

    redeemed_bp: Annotated[int, Field(ge=0, le=_WHOLE_BP)]
    percent_by_day: Annotated[
        list[Annotated[int, Field(ge=0, le=_WHOLE_PERCENT)]],
        Field(min_length=1, max_length=_DAYS_MAX),
    ]
    order_over_min: Annotated[float, Field(ge=1, le=_ORDER_OVER_MIN_MAX)]
    at_minimum_share: _SHARE
    quoted_first_share_of_redeemed: _SHARE
    held_first_share_of_redeemed: _SHARE
    sent_again_share_of_redeemed: _SHARE
    tried_twice_share_of_redeemed: _SHARE
    released_share: _SHARE
    reversed_share: _SHARE
    never_came_share: _SHARE
    seed: int

    @model_validator(mode="after")
    def _shares_make_at_most_a_whole(self) -> Self:
        if sum(self.percent_by_day) != _WHOLE_PERCENT:
            raise ValueError(f"percent_by_day must sum to 100, not {sum(self.percent_by_day)}")
        if self.at_minimum_share == 1 and self.order_over_min > 1:
            raise ValueError("orders that are all at the minimum have order_over_min = 1")
        of_redeemed = (
            self.quoted_first_share_of_redeemed
            + self.held_first_share_of_redeemed
            + self.sent_again_share_of_redeemed
            + self.tried_twice_share_of_redeemed
        )
        unused = self.released_share + self.reversed_share + self.never_came_share
        if of_redeemed > 1 or self.redeemed_bp / _WHOLE_BP + unused > 1:
            raise ValueError("the shares are of more vouchers than there are")
        return self


class Fate(Enum):
    """What happens to a voucher at the tills. Of the last three nothing is redeemed."""

    REDEEMED = auto()
    QUOTED_FIRST = auto()
    HELD_FIRST = auto()
    SENT_AGAIN = auto()
    TRIED_TWICE = auto()
    RELEASED = auto()
    REVERSED = auto()
    NEVER_CAME = auto()


UNUSED = frozenset({Fate.RELEASED, Fate.REVERSED, Fate.NEVER_CAME})


@dataclass(frozen=True, slots=True)
class Errand:
    """One voucher taken to a till. `till` and `second_till` number the tills of its category."""

    holder: int
    voucher: Voucher
    day: int
    fate: Fate
    order_fen: int
    till: int
    second_till: int


def draw_errands(
    model: ShoppingModel,
    vouchers: Sequence[tuple[int, Voucher]],
    tills_by_category: Mapping[str, int],
) -> list[list[Errand]]:
    """Draw what the holders of vouchers do, by day."""
    dice = random.Random(model.seed)
    shuffled = list(vouchers)
    dice.shuffle(shuffled)
    days: list[list[Errand]] = [[] for _ in model.percent_by_day]
    for (holder, voucher), (fate, day) in zip(
        shuffled, _fates(model, len(shuffled), dice), strict=False
    ):
        tills = tills_by_category[voucher.category]
        till = dice.randrange(tills)
        days[day].append(
            Errand(
                holder,
                voucher,
                day,
                fate,
                _order_fen(model, voucher, dice),
                till,
                # Another one, where there is another.
                (till + dice.randrange(1, max(2, tills))) % tills,
            )
        )
    for errands in days:
        dice.shuffle(errands)
    return days


def _fates(model: ShoppingModel, vouchers: int, dice: random.Random) -> Iterator[tuple[Fate, int]]:
    """Yield a fate and a day for each voucher that is taken to a till; the rest stay at home."""
    redeemed = vouchers * model.redeemed_bp // _WHOLE_BP
    days = range(len(model.percent_by_day))
    weights = {str(day): percent for day, percent in enumerate(model.percent_by_day)}
    by_day = split_by_largest_remainder(redeemed, weights)
    days_of_redeemed = [int(day) for day, count in by_day.items() for _ in range(count)]
    dice.shuffle(days_of_redeemed)
    of_redeemed = (
        (Fate.QUOTED_FIRST, model.quoted_first_share_of_redeemed),
        (Fate.HELD_FIRST, model.held_first_share_of_redeemed),
        (Fate.SENT_AGAIN, model.sent_again_share_of_redeemed),
        (Fate.TRIED_TWICE, model.tried_twice_share_of_redeemed),
    )
    special = [fate for fate, share in of_redeemed for _ in range(int(redeemed * share))]
    plain = redeemed - len(special)
    yield from zip([*special, *[Fate.REDEEMED] * plain], days_of_redeemed, strict=True)
    unused = (
        (Fate.RELEASED, model.released_share),
        (Fate.REVERSED, model.reversed_share),
        (Fate.NEVER_CAME, model.never_came_share),
    )
    for fate, share in unused:
        for _ in range(int(vouchers * share)):
            yield fate, dice.choices(days, model.percent_by_day)[0]


def _order_fen(model: ShoppingModel, voucher: Voucher, dice: random.Random) -> int:
    least_fen = max(voucher.min_spend_fen, voucher.face_fen)
    if model.order_over_min == 1 or dice.random() < model.at_minimum_share:
        return least_fen
    mean_above = (model.order_over_min - 1) / (1 - model.at_minimum_share)
    above = min(dice.expovariate(1 / mean_above), _ORDER_OVER_MIN_MAX)
    return least_fen + round(least_fen * above)
