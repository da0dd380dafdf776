"""Requests and answers of reconciliation: statements, runs, breaks.

Everywhere money in counts above zero and money out below; a difference is what the statement says
minus what the books say. Above zero the account has more than the books know (长款, over), below
zero less (短款, short).
"""

from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from pydantic import ConfigDict, Field

from services.ledger.schemas import BookPageRequest, BookRequest, Day, LedgerView
from shared.formats.faults import ROWS_MAX
from shared.web.fields import Identifier, StrictModel, Text
from shared.web.pages import PageRequest

StatementFormat = Literal["bank-statement", "ecny-daily"]
Direction = Literal["in", "out"]
BreakType = Literal[
    "missing_in_ledger",
    "missing_in_channel",
    "amount",
    "duplicate",
    "direction",
    "unreadable",
    "balance",
]
BreakState = Literal["open", "proposed", "posted", "accepted", "cleared"]
Side = Literal["ledger", "channel"]
Proposal = Literal["post", "accept"]
_EXAMPLE_ID = "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40"
_REASON_MAX = 500


class UploadRequest(BookRequest):
    format: StatementFormat


class StatementsRequest(BookPageRequest):
    format: StatementFormat | None = None
    day: Day | None = None


class StatementView(LedgerView):
    """A file as it was taken. `totals` are those of the file, in fen, checked against its rows.

    `version` counts the files of one account and day: the last one is `is_current`, the others are
    superseded. `duplicate`: these bytes were sent before, and this is what they became then.
    """

    statement_id: UUID
    programme_id: UUID
    format: StatementFormat
    account: Annotated[str, Field(examples=["bank:main"])]
    day: date
    version: int
    is_current: bool
    sha256: str
    rows: int
    quarantined: int
    totals: dict[str, int]
    duplicate: bool = False
    uploaded_at: datetime
    uploaded_by: str


class LinesRequest(PageRequest):
    model_config = ConfigDict(extra="forbid")

    quarantined: Annotated[bool | None, Field(description="Only rows that cannot be read")] = None


class LinePosition(NamedTuple):
    """Where a page of lines ended."""

    line_no: Annotated[int, Field(ge=1, le=ROWS_MAX)]


class StatementLineView(LedgerView):
    """One row. In quarantine, `fault` says why, and `raw` is the row as it came."""

    line_no: int
    direction: Direction | None
    amount_fen: int | None
    end_to_end_no: str | None
    channel_no: Annotated[str | None, Field(description="The bank's or operator's own number")]
    happened_at: datetime | None
    fault: str | None
    raw: str | None


class NewReconciliation(StrictModel):
    model_config = ConfigDict(json_schema_extra={"example": {"statement_id": _EXAMPLE_ID}})

    statement_id: Identifier


class RunsRequest(BookPageRequest):
    statement_id: UUID | None = None


class WaterfallView(LedgerView):
    """From the books' balance at the end of the day to the statement's, every step named.

    `ledger_fen` + `carried_fen` + `found_fen` + `timing_fen` + `booked_fen` + `unexplained_fen` =
    `statement_fen`. The last two are None where the file states no balance.
    """

    ledger_fen: Annotated[int, Field(description="The books at the end of the day")]
    carried_fen: Annotated[int, Field(description="Breaks of earlier days that still stand")]
    found_fen: Annotated[int, Field(description="Breaks of this statement, those below aside")]
    timing_fen: Annotated[int, Field(description="Booked on another day than stated")]
    booked_fen: Annotated[
        int, Field(description="What of the breaks was booked by then (J24, J25), taken off again")
    ]
    unexplained_fen: Annotated[int | None, Field(description="A `balance` break unless it is 0")]
    statement_fen: int | None


class DifferenceTotals(LedgerView):
    type: BreakType
    differences: int
    difference_fen: int


class DifferenceView(LedgerView):
    """One thing that a run found; `break_id` is the break under which it is settled."""

    place: int
    type: BreakType
    break_id: UUID
    line_no: int | None
    journal_id: UUID | None
    end_to_end_no: str | None
    statement_fen: int | None
    booked_fen: int | None
    difference_fen: int
    happened_on: date


class RunView(LedgerView):
    """What one run over a statement found; the same inputs give the same `result_hash`.

    `lines` are the statement's, `movements` what the books expected on it; `missing_days` are days
    since the statement before on which the books moved and for which there is no statement: nothing
    is said about them, since a missing file does not mean that nothing happened.
    """

    reconciliation_id: UUID
    programme_id: UUID
    statement_id: UUID
    account: str
    day: date
    lines: int
    movements: int
    matched: int
    differences: int
    difference_fen: int
    is_continuous: Annotated[
        bool | None,
        Field(description="The file opens with the balance with which the one before closed"),
    ]
    missing_days: list[date]
    waterfall: WaterfallView
    result_hash: str
    run_at: datetime
    run_by: str


class RunDetailView(RunView):
    """With the differences by type, and the first of what is missing on either side.

    All of them are at `/v1/reconciliations/{id}/differences`, the pairs at `…/matches`.
    """

    by_type: list[DifferenceTotals]
    missing_in_ledger: Annotated[
        list[DifferenceView], Field(description="Stated, not booked; duplicates included")
    ]
    missing_in_channel: Annotated[list[DifferenceView], Field(description="Booked, not stated")]


class DifferencesRequest(PageRequest):
    model_config = ConfigDict(extra="forbid")

    type: BreakType | None = None


class MatchesRequest(PageRequest):
    """A query on the pairs of a run."""

    model_config = ConfigDict(extra="forbid")


class DifferencePosition(NamedTuple):
    """Where a page of differences ended."""

    place: Annotated[int, Field(ge=1, le=2**31 - 1)]


class MatchView(LedgerView):
    """A row of the statement and the journal that it speaks of.

    `pass` 1 and 2: the same number (end to end, then the channel's own), direction and amount;
    3 and 4: the same number alone, so that a difference says what is not the same.
    """

    line_no: int
    journal_id: UUID
    kind: str
    event: str
    matched_in: Annotated[int, Field(serialization_alias="pass", ge=1, le=9)]
    end_to_end_no: str
    direction: Direction
    amount_fen: int
    accounting_date: date


class BreaksRequest(BookPageRequest):
    state: BreakState | None = None
    type: BreakType | None = None
    statement_id: UUID | None = None


class BreakView(LedgerView):
    """A difference until two persons have settled it.

    `statement_fen` and `booked_fen` are None where nothing is stated or booked; above zero money
    came in. Posting books `difference_fen`: J24 when it is over (长款), J25 when short (短款).
    `cleared_at`: a later run does not find it any more. `age_days` count from `happened_on` to when
    it was settled, or to today.
    """

    break_id: UUID
    programme_id: UUID
    statement_id: UUID
    reconciliation_id: Annotated[UUID, Field(description="The last run that found it")]
    account: str
    type: BreakType
    present_in: list[Side]
    missing_in: Side | None
    label: Literal["over", "short"] | None
    line_no: int | None
    booked_journal_id: UUID | None
    end_to_end_no: str | None
    statement_fen: int | None
    booked_fen: int | None
    difference_fen: int
    happened_on: date
    age_days: int
    state: BreakState
    opened_at: datetime
    proposal: Proposal | None
    reason: str | None
    proposed_at: datetime | None
    proposed_by: str | None
    approved_at: datetime | None
    approved_by: str | None
    journal_id: Annotated[UUID | None, Field(description="J24 or J25")]
    cleared_at: datetime | None


class NewProposal(StrictModel):
    """post: book the difference (J24, J25). accept: leave it, it is explained by `reason`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"proposal": "post", "reason": "The bank confirms the payment"}
        }
    )

    proposal: Proposal
    reason: Annotated[
        Text, Field(max_length=_REASON_MAX, pattern=r"\S", description="One line, not blank")
    ]
