"""Programme files: a whole programme with its money, its drops and where its figures come from."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from services.campaign.schemas import NewDrop, NewFunding, NewProgramme
from services.demo.crowd import CrowdModel
from shared.bookkeeping.splitting import split_by_largest_remainder
from shared.web.fields import Name, StrictModel

_FAULTS_TOLD_MAX = 8
_TEXT = Annotated[str, Field(min_length=1, max_length=400)]


class ProgrammeFileError(Exception):
    """The file cannot be used; the message names each offending key."""


class DropOfFile(NewDrop):
    """A drop of the campaign service, whose programme is the file's own."""

    programme_id: Literal[""] = ""

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


class ProgrammeFile(StrictModel):
    """The tables of a file. `demo` is needed by `fairdrop demo` alone."""

    programme: NewProgramme
    funding: Annotated[list[NewFunding], Field(min_length=1)]
    drops: Annotated[list[DropOfFile], Field(min_length=1)]
    source: Source
    demo: CrowdModel | None = None

    @model_validator(mode="after")
    def _money_covers_the_drops(self) -> Self:
        shares_bp = {funder.funder_id: funder.share_bp for funder in self.programme.funders}
        free_fen = dict.fromkeys(shares_bp, 0)
        for payment in self.funding:
            if payment.funder_id not in free_fen:
                raise ValueError(f"funding names {payment.funder_id}, who is no funder")
            if not payment.settles_pledge:
                free_fen[payment.funder_id] += payment.amount_fen
        for drop in self.drops:
            for kind in drop.pack:
                split = split_by_largest_remainder(kind.face_fen, shares_bp)
                for funder_id, share_fen in split.items():
                    free_fen[funder_id] -= drop.quota * kind.count * share_fen
        short = {funder_id: -fen for funder_id, fen in free_fen.items() if fen < 0}
        if short:
            missing = ", ".join(f"{fen} fen of {funder_id}" for funder_id, fen in short.items())
            raise ValueError(f"funding does not cover the drops; missing are {missing}")
        return self

    def scaled(self, packs: int) -> "ProgrammeFile":
        """Return the first drop alone, with this many packs and the same money for each pack."""
        first = self.drops[0]
        funding = [
            payment.model_copy(
                update={"amount_fen": max(1, -(-payment.amount_fen * packs // first.quota))}
            )
            for payment in self.funding
        ]
        drop = first.model_copy(update={"quota": packs})
        return self.model_copy(update={"funding": funding, "drops": [drop]})

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


def _key(loc: tuple[int | str, ...]) -> str:
    """Return a key as a reader of the file would look for it: `drops[0].pack[1].face_fen`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the file"
