"""Programme files: a whole programme with its money, its drops and where its figures come from."""

import tomllib
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from services.campaign.schemas import AccountPart, NewDrop, NewFunding, NewProgramme, VoucherKind
from services.demo.crowd import CrowdModel
from services.demo.shopping import ShoppingModel
from services.demo.trouble import TroubleModel
from shared.bookkeeping.splitting import split_by_largest_remainder
from shared.web.fields import Name, StrictModel, Text, UtcTime

_FAULTS_TOLD_MAX = 8
_MERCHANTS_MAX = 10_000
_TERMINALS_MAX = 20
_TEXT = Annotated[str, Field(min_length=1, max_length=400)]


class ProgrammeFileError(Exception):
    """The file cannot be used; the message names each offending key."""


class NotPlayableError(ProgrammeFileError):
    """The file is sound, and tells of something that cannot be played yet."""


class KindOfFile(VoucherKind):
    """A kind of voucher; one that is spent in parts is a packet of money (红包)."""

    spent: Literal["whole", "in_parts"] = "whole"

    @model_validator(mode="after")
    def _packets_have_no_threshold(self) -> Self:
        if self.spent == "in_parts" and self.min_spend_fen:
            raise ValueError(f"{self.kind_id} is spent in parts and asks for a minimum spend")
        return self


class Lottery(StrictModel):
    """When lots are drawn among those who entered while the drop was open."""

    draws_at: UtcTime
    entries_per_person: Annotated[int, Field(ge=1, le=100)] = 1
    witness: Name | None = None


class DropOfFile(NewDrop):
    """A drop of the campaign service, whose programme is the file's own."""

    programme_id: Literal[""] = ""
    mode: Literal["grab", "lottery"]
    lottery: Lottery | None = None
    pack: Annotated[list[KindOfFile], Field(min_length=1, max_length=16)]  # type: ignore[assignment]  # a list of the same and more

    @model_validator(mode="after")
    def _draws_its_lots_when_entries_are_closed(self) -> Self:
        if (self.mode == "lottery") != (self.lottery is not None):
            raise ValueError("mode lottery and the table [drops.lottery] come together")
        if self.lottery is None:
            return self
        if self.lottery.draws_at < self.closes_at:
            raise ValueError("draws_at must not be before closes_at")
        for kind in self.pack:
            if kind.valid_until is not None and kind.valid_until <= self.lottery.draws_at:
                raise ValueError(f"valid_until of {kind.kind_id} must be after draws_at")
        return self

    def shifted(self, by: timedelta) -> Self:
        """Return the same drop at another time: its window, and fixed ends of its vouchers."""
        pack = [
            kind.model_copy(
                update={"valid_until": kind.valid_until and kind.valid_until + by},
            )
            for kind in self.pack
        ]
        window = {"opens_at": self.opens_at + by, "closes_at": self.closes_at + by}
        return self.model_copy(update={**window, "pack": pack})

    def draft(self, programme_id: str) -> dict[str, Any]:
        """Return what the campaign service is told to make this drop."""
        body = self.model_dump(
            mode="json",
            exclude_none=True,
            exclude={"lottery": True, "pack": {"__all__": {"spent"}}},
        )
        return {**body, "programme_id": programme_id}


class MerchantGroup(StrictModel):
    """`count` shops of a kind, each with as many terminals; one shop has the name itself."""

    name: Annotated[Text, Field(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=1, le=_MERCHANTS_MAX)]
    categories: Annotated[list[Name], Field(min_length=1, max_length=20)]
    terminals: Annotated[int, Field(ge=1, le=_TERMINALS_MAX)]

    @property
    def shops(self) -> list[str]:
        if self.count == 1:
            return [self.name]
        return [f"{self.name} {number}" for number in range(1, self.count + 1)]


class Citation(StrictModel):
    """Who says what. Grades: A official or academic, B named news or company, C aggregator."""

    says: _TEXT
    grade: Literal["A", "B", "C"]
    where: _TEXT


class Redemption(StrictModel):
    """What became of the packs of a round."""

    round: Name
    share_bp: Annotated[int, Field(ge=0, le=10_000)]
    vouchers_per_pack: Annotated[float, Field(ge=0)]
    subsidy_per_pack_fen: Annotated[int, Field(ge=0)]
    new_spend_per_pack_fen: int


class Source(StrictModel):
    """What is known of the real programme, and from whom."""

    citations: Annotated[list[Citation], Field(min_length=1)]
    sold_out_after_s: Annotated[int, Field(ge=1)] | None = None
    redemption: Redemption | None = None


class Words(StrictModel):
    """One text in both languages of the report."""

    en: _TEXT
    zh: _TEXT


class Telling(StrictModel):
    """How the report names the programme, and what of it is real."""

    name: Words
    city: Words
    note: Words
    funders: dict[AccountPart, Words]


class Demo(StrictModel):
    """How `fairdrop demo` plays the first drop, and how its report names what it plays."""

    report: Telling
    crowd: CrowdModel
    shopping: ShoppingModel
    trouble: TroubleModel


class ProgrammeFile(StrictModel):
    """The tables of a file. `demo` is needed by `fairdrop demo` alone."""

    programme: NewProgramme
    funding: Annotated[list[NewFunding], Field(min_length=1)]
    drops: Annotated[list[DropOfFile], Field(min_length=1)]
    merchants: Annotated[list[MerchantGroup], Field(default_factory=list)]
    source: Source
    demo: Demo | None = None

    @model_validator(mode="after")
    def _money_covers_the_drops(self) -> Self:
        free_fen = {funder_id: -fen for funder_id, fen in self._needs_fen(self.drops).items()}
        for payment in self.funding:
            if payment.funder_id not in free_fen:
                raise ValueError(f"funding names {payment.funder_id}, who is no funder")
            if not payment.settles_pledge:
                free_fen[payment.funder_id] += payment.amount_fen
        short = {funder_id: -fen for funder_id, fen in free_fen.items() if fen < 0}
        if short:
            missing = ", ".join(f"{fen} fen of {funder_id}" for funder_id, fen in short.items())
            raise ValueError(f"funding does not cover the drops; missing are {missing}")
        return self

    @model_validator(mode="after")
    def _somebody_takes_each_voucher(self) -> Self:
        taken = {category for group in self.merchants for category in group.categories}
        wanted = {kind.category for drop in self.drops for kind in drop.pack}
        if self.merchants and wanted - taken:
            raise ValueError(f"no merchant takes {', '.join(sorted(wanted - taken))}")
        return self

    @model_validator(mode="after")
    def _demo_plays_what_the_rules_allow(self) -> Self:
        if self.demo is None:
            return self
        if not self.merchants:
            raise ValueError("a file with a [demo] table needs [[merchants]]")
        days = len(self.demo.shopping.percent_by_day)
        if self.demo.trouble.rejected_payouts >= days:
            raise ValueError(f"the bank refuses one payout a day at most, and none on day {days}")
        for kind in self.drops[0].pack:
            if kind.valid_days is None or kind.valid_days < days:
                raise ValueError(
                    f"demo.shopping has {days} days, {kind.kind_id} is not so long good"
                )
        return self

    @model_validator(mode="after")
    def _report_names_each_funder(self) -> Self:
        funders = {funder.funder_id for funder in self.programme.funders}
        if self.demo is not None and self.demo.report.funders.keys() != funders:
            raise ValueError("demo.report.funders must name each funder, and no other")
        return self

    @property
    def unplayable(self) -> list[str]:
        """What the file tells of that cannot be played yet."""
        found = [f"drop {drop.name!r} draws lots" for drop in self.drops if drop.lottery]
        found += [
            f"{kind.name!r} is money to be spent in parts"
            for drop in self.drops
            for kind in drop.pack
            if kind.spent == "in_parts"
        ]
        return found

    def scaled(self, packs: int) -> "ProgrammeFile":
        """Return the first drop alone, with this many packs and the same money for each pack."""
        first = self.drops[0]
        of_first, of_all = self._needs_fen([first]), self._needs_fen(self.drops)
        funding = []
        for payment in self.funding:
            amount_fen = payment.amount_fen * packs * of_first[payment.funder_id]
            for_one = first.quota * of_all[payment.funder_id]
            # Rounded in favour of the drop; what settles a pledge never exceeds it.
            whole = amount_fen // for_one if payment.settles_pledge else -(-amount_fen // for_one)
            funding.append(payment.model_copy(update={"amount_fen": max(1, whole)}))
        drop = first.model_copy(update={"quota": packs})
        return self.model_copy(update={"funding": funding, "drops": [drop]})

    def _needs_fen(self, drops: Iterable[DropOfFile]) -> dict[str, int]:
        """Return what each funder pays when everything in these drops is redeemed."""
        shares_bp = {funder.funder_id: funder.share_bp for funder in self.programme.funders}
        needs_fen = dict.fromkeys(shares_bp, 0)
        for drop in drops:
            for kind in drop.pack:
                split = split_by_largest_remainder(kind.face_fen, shares_bp)
                for funder_id, share_fen in split.items():
                    needs_fen[funder_id] += drop.quota * kind.count * share_fen
        return needs_fen

    def shifted(self, by: timedelta) -> "ProgrammeFile":
        """Return the programme with every drop at another time."""
        return self.model_copy(update={"drops": [drop.shifted(by) for drop in self.drops]})


def read_programme_file(path: Path) -> ProgrammeFile:
    """Read a programme file. Raises ProgrammeFileError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProgrammeFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProgrammeFileError(f"{path} is not TOML: {error}.") from error
    try:
        return ProgrammeFile.model_validate(tables)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"  {_key(fault['loc'])}: {fault['msg']}" for fault in faults[:_FAULTS_TOLD_MAX]]
        raise ProgrammeFileError("\n".join([f"{path} cannot be used:", *lines])) from None


def read_playable_file(path: Path) -> ProgrammeFile:
    """Read a programme file whose drops can be played.

    Raises:
        ProgrammeFileError: it cannot be used, or (NotPlayableError) not yet.
    """
    file = read_programme_file(path)
    if file.unplayable:
        raise NotPlayableError(
            f"{path} can be read, but not be played yet: {' and '.join(file.unplayable)}."
        )
    return file


def _key(loc: tuple[int | str, ...]) -> str:
    """Return a key as a reader of the file would look for it: `drops[0].pack[1].face_fen`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the file"
