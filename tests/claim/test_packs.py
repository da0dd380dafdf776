"""A pack is written twice, as a template and as a model: byte for byte the same."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from services.claim.definitions import Definition, Kind
from services.claim.outcomes import Won
from services.claim.packs import Kept, render_win, vouchers_of
from services.claim.schemas import ClaimView
from shared.clock import CITY_TIME, rfc3339
from shared.ids import new_id
from shared.secrets import Secrets
from shared.voucher_ids import VoucherIds

IDS = VoucherIds(Secrets(b"r" * 32))
# Every hour of the day is as likely as another: the city's day begins at 16:00 UTC.
moments = st.builds(
    lambda days, hours, us: (
        datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=days, hours=hours, microseconds=us)
    ),
    st.integers(0, 190 * 365),
    st.integers(0, 23),
    st.integers(0, 3_599_999_999),
)
texts = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
) | st.sampled_from(
    ["餐饮", "超市百货", 'a "quoted" one', "back\\slash", "{brace}", "</script>", "\u2028", "\x7f"]
)
kinds = st.builds(
    Kind,
    kind_id=texts,
    name=texts,
    category=texts,
    face_fen=st.integers(1, 10**13),
    min_spend_fen=st.integers(0, 10**13),
    count=st.integers(1, 10),
    valid_days=st.integers(1, 3650),
    valid_until=st.none() | moments,
    refund_policy=st.just("restore"),
)
definitions = st.builds(
    Definition,
    city_id=st.just(1),
    drop_id=st.builds(new_id, st.just(1)),
    programme_id=st.builds(new_id, st.just(1)),
    name=texts,
    mode=st.just("grab"),
    admission=st.just("open"),
    opens_at=moments,
    closes_at=moments,
    limit_per_holder=st.just(1),
    pack=st.lists(kinds, min_size=1, max_size=6).map(tuple),
)


def viewed(definition: Definition, won: Won, *, now: datetime) -> dict[str, Any]:
    """Return the claim as `GET /v1/claims/{id}` shows it."""
    return {
        "claim_id": str(won.claim_id),
        "drop_id": str(definition.drop_id),
        "serial": won.serial,
        "claimed_at": rfc3339(won.claimed_at),
        "vouchers": vouchers_of(
            definition, Kept(won.claim_id, won.claimed_at, False, {}), ids=IDS, now=now
        ),
    }


@given(definitions, moments, st.integers(1, 10**7))
def test_the_template_writes_what_the_model_says(
    definition: Definition, claimed_at: datetime, serial: int
) -> None:
    won = Won(new_id(1), serial, claimed_at, fresh=True)
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    view = ClaimView.model_validate(viewed(definition, won, now=long_ago))
    rendered = render_win(definition, won, IDS)
    assert rendered == view.model_dump_json().encode()
    assert json.loads(rendered) == view.model_dump()
    ids = [voucher.voucher_id for voucher in view.vouchers]
    assert [IDS.decode(text) for text in ids] == [(won.claim_id, n) for n in range(len(ids))]
    # The same again, from the template that was kept.
    assert render_win(definition, won, IDS) == rendered


def test_a_voucher_ends_when_its_time_has_come() -> None:
    ends_at = datetime(2026, 5, 1, tzinfo=UTC)
    kind = Kind("a", "a", "a", 1, 0, 1, None, ends_at, "restore")
    named = (1, new_id(1), new_id(1), "Friday", "grab", "open")
    definition = Definition(*named, ends_at, ends_at, 1, (kind,))
    won = Won(new_id(1), 1, ends_at - timedelta(days=1), fresh=False)
    microsecond = timedelta(microseconds=1)
    for now, state in ((ends_at - microsecond, "active"), (ends_at, "expired")):
        [voucher] = viewed(definition, won, now=now)["vouchers"]
        assert (voucher["state"], voucher["valid_until"]) == (state, rfc3339(ends_at))


async def test_the_last_day_ends_where_the_ledger_says(owner: asyncpg.Connection) -> None:
    """Around midnight in the city, over leap days and the turn of a year, to the microsecond."""
    midnights = [
        datetime.combine(day, datetime.min.time(), CITY_TIME)
        for day in (date(2026, 1, 1), date(2026, 3, 1), date(2028, 2, 29), date(2031, 12, 31))
    ]
    claimed = [
        (midnight + timedelta(microseconds=us)).astimezone(UTC)
        for midnight in midnights
        for us in (-1, 0, 1, 8 * 3600 * 1_000_000 - 1, 8 * 3600 * 1_000_000)
    ]
    for valid_days in (1, 2, 7, 366, 3650):
        stated = await owner.fetch(
            "SELECT claim.valid_until(at, $2, NULL) FROM unnest($1::timestamptz[])"
            " WITH ORDINALITY AS claims (at, place) ORDER BY place",
            claimed,
            valid_days,
        )
        kind = Kind("a", "a", "a", 1, 0, 1, valid_days, None, "restore")
        ours = [kind.ends_at(at.astimezone(CITY_TIME).date()) for at in claimed]
        assert ours == [row[0] for row in stated]
    fixed = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    kind = Kind("a", "a", "a", 1, 0, 1, None, fixed, "restore")
    assert kind.ends_at(claimed[0].date()) == fixed
    assert (
        await owner.fetchval("SELECT claim.valid_until($1, NULL, $2)", claimed[0], fixed) == fixed
    )
