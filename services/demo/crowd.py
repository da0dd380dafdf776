"""Who comes to a drop, and when: a crowd drawn from a model, the same one for the same seed."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.web.fields import StrictModel

RESIDENTS_MAX = 2_000_000
FIRST_SECOND_S = 1.0
_PATIENCE_S = Annotated[float, Field(gt=0, le=60)]
_SHARE = Annotated[float, Field(ge=0, le=1)]


class CrowdModel(StrictModel):
    """The parameters of a crowd; shares are of the residents, times in seconds after T-0."""

    packs: Annotated[int, Field(ge=1)]
    residents: Annotated[int, Field(ge=1, le=RESIDENTS_MAX)]
    share_in_first_second: _SHARE
    tail_tau_s: _PATIENCE_S
    tail_ends_s: Annotated[float, Field(gt=FIRST_SECOND_S, le=600)]
    clock_skew_s: Annotated[float, Field(ge=0, le=10)]
    retry_min_s: _PATIENCE_S
    retry_max_s: _PATIENCE_S
    lost_answer_share: _SHARE
    bot_share: _SHARE
    bot_rate_factor: Annotated[float, Field(ge=1, le=1000)]
    bot_connections: Annotated[int, Field(ge=1, le=64)]
    polling_share: _SHARE
    poll_interval_s: _PATIENCE_S
    seed: int

    @model_validator(mode="after")
    def _is_a_crowd(self) -> Self:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError("retry_min_s must not be above retry_max_s")
        if self.residents < self.packs:
            raise ValueError("residents must be at least packs, or nothing sells out")
        return self

    def scaled(self, packs: int) -> "CrowdModel":
        """Return the crowd for this many packs, as many residents for each pack as before."""
        residents = -(-self.residents * packs // self.packs)
        return self.model_validate(
            {**self.model_dump(), "packs": packs, "residents": residents}, strict=True
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """One resident's first tap.

    `intended_s` is when by their own clock, `taps_s` when in truth, both after T-0; a negative one
    is early. `holder` numbers the identity.
    """

    holder: int
    intended_s: float
    taps_s: float
    is_bot: bool = False
    loses_answer: bool = False
    polls: bool = False


def draw_crowd(model: CrowdModel) -> list[Visit]:
    """Draw every resident's visit, in the order in which they tap."""
    dice = random.Random(model.seed)
    holders = dice.sample(range(model.residents), model.residents)
    bots_count = round(model.residents * model.bot_share)
    bots, humans = holders[:bots_count], holders[bots_count:]
    losing = set(dice.sample(humans, round(len(humans) * model.lost_answer_share)))
    polling = set(dice.sample(humans, round(len(humans) * model.polling_share)))
    # Bots are there before anybody else can be, and stay.
    visits = [
        Visit(holder, -model.clock_skew_s, -model.clock_skew_s, is_bot=True) for holder in bots
    ]
    for holder, intended_s in zip(humans, _intentions(model, len(humans), dice), strict=True):
        skew_s = dice.uniform(-model.clock_skew_s, model.clock_skew_s)
        visits.append(
            Visit(
                holder,
                intended_s,
                intended_s + skew_s,
                loses_answer=holder in losing,
                polls=holder in polling,
            )
        )
    return sorted(visits, key=lambda visit: visit.taps_s)


def _intentions(model: CrowdModel, count: int, dice: random.Random) -> Iterator[float]:
    at_once = round(count * model.share_in_first_second)
    for _ in range(at_once):
        yield dice.random() * FIRST_SECOND_S
    for _ in range(count - at_once):
        yield FIRST_SECOND_S + _tail_s(model, dice)


def _tail_s(model: CrowdModel, dice: random.Random) -> float:
    """Draw from an exponential distribution cut off at the tail's end."""
    kept_share = 1 - math.exp(-(model.tail_ends_s - FIRST_SECOND_S) / model.tail_tau_s)
    return -model.tail_tau_s * math.log(1 - dice.random() * kept_share)
