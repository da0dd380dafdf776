import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.campaign.schemas import NewDrop
from services.programme_file import (
    NotPlayableError,
    ProgrammeFileError,
    read_playable_file,
    read_programme_file,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
HANGZHOU = EXAMPLES / "hangzhou-2020-round-5.toml"
CHENGDU = EXAMPLES / "chengdu-2022-ecny.toml"
SHANGHAI = EXAMPLES / "shanghai-2022-lottery.toml"
LUOHU = EXAMPLES / "luohu-2020-ecny-packet.toml"


def test_hangzhou_has_the_figures_of_history() -> None:
    file = read_programme_file(HANGZHOU)

    assert file.programme.city_code == "330100"
    [drop] = file.drops
    assert drop.quota == 1_500_000
    assert drop.opens_at == datetime(2020, 4, 20, 12, tzinfo=UTC)
    [kind] = drop.pack
    assert (kind.face_fen, kind.min_spend_fen, kind.count) == (1000, 4000, 5)
    assert kind.valid_days == 7
    funded = [payment.amount_fen for payment in file.funding if not payment.settles_pledge]
    assert sum(funded) == 1_500_000 * 5 * 1000
    assert file.source.sold_out_after_s == 105
    assert file.source.redemption is not None
    assert file.source.redemption.share_bp == 7020
    assert file.demo is not None
    assert file.demo.shopping.redeemed_bp == 7020


def test_chengdu_has_the_tiers_of_a_friday_on_jd() -> None:
    file = read_programme_file(CHENGDU)

    tiers = [(drop.pack[0].min_spend_fen, drop.pack[0].face_fen) for drop in file.drops]
    assert sorted(tiers) == [(10_000, 3000), (30_000, 8000), (200_000, 30_000), (500_000, 60_000)]
    assert {drop.opens_at for drop in file.drops} == {datetime(2022, 6, 10, 4, 30, tzinfo=UTC)}
    assert {drop.rail for drop in file.drops} == {"ecny"}
    # About a ninth of 1.41 million vouchers and of 160 million yuan.
    assert sum(drop.quota for drop in file.drops) == 156_667
    assert sum(drop.quota * drop.pack_face_fen for drop in file.drops) == 1_772_020_000


def test_shanghai_draws_lots_before_a_notary() -> None:
    [drop] = read_programme_file(SHANGHAI).drops

    assert drop.quota * drop.pack_face_fen == 20_000_000_000
    assert drop.lottery is not None
    assert drop.closes_at <= drop.lottery.draws_at
    assert drop.lottery.witness is not None


def test_luohu_gives_money_that_is_spent_in_parts() -> None:
    [drop] = read_programme_file(LUOHU).drops
    [packet] = drop.pack

    assert (drop.quota, packet.face_fen, packet.min_spend_fen) == (50_000, 20_000, 0)
    assert packet.spent == "in_parts"
    assert packet.valid_until == datetime(2020, 10, 18, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (SHANGHAI, "drop 'Round 1' draws lots."),
        (
            LUOHU,
            "drop 'Packets of 200 yuan' draws lots and '200 yuan' is money to be spent in parts.",
        ),
    ],
)
def test_what_cannot_be_played_yet_is_said_in_one_sentence(path: Path, why: str) -> None:
    with pytest.raises(NotPlayableError) as refused:
        read_playable_file(path)
    assert str(refused.value) == f"{path} can be read, but not be played yet: {why}"


@pytest.mark.parametrize("path", [HANGZHOU, CHENGDU])
def test_what_the_demo_plays_can_be_played(path: Path) -> None:
    assert read_playable_file(path).demo is not None


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_every_example_can_be_read(path: Path) -> None:
    assert read_programme_file(path).source.citations


def test_a_scaled_programme_is_funded_to_the_fen() -> None:
    file = read_programme_file(HANGZHOU).scaled(333)

    assert [drop.quota for drop in file.drops] == [333]
    assert [payment.amount_fen for payment in file.funding] == [
        333 * 3500,
        333 * 500,
        333 * 500,
        333 * 1000,
    ]


@pytest.mark.parametrize("packs", [1, 7, 1500, 59_000])
def test_a_drop_taken_alone_takes_its_part_of_the_money(packs: int) -> None:
    file = read_programme_file(CHENGDU).scaled(packs)

    assert [drop.quota for drop in file.drops] == [packs]
    funded = sum(payment.amount_fen for payment in file.funding)
    # One per cent more than the drops need, as in the whole file, and at most a fen a funder.
    assert packs * 8000 <= funded <= packs * 8000 * 1.011 + 3


def test_a_draft_is_what_the_campaign_service_takes() -> None:
    [drop] = read_programme_file(HANGZHOU).drops

    draft = drop.draft("programme-1")

    assert NewDrop.model_validate_json(json.dumps(draft)).programme_id == "programme-1"


def test_a_shifted_programme_keeps_the_length_of_its_windows() -> None:
    file = read_programme_file(HANGZHOU)
    [before], [after] = file.drops, file.shifted(timedelta(days=9)).drops

    assert after.opens_at - before.opens_at == timedelta(days=9)
    assert after.closes_at - after.opens_at == before.closes_at - before.opens_at


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("quota = 1_500_000", "quota = 0", "drops[0].quota: "),
        ("quota = 1_500_000", 'quota = "many"', "drops[0].quota: "),
        ("quota = 1_500_000", "", "drops[0].quota: Field required"),
        ("face_fen = 1000", "face_fen = 10.0", "drops[0].pack[0].face_fen: "),
        ("face_fen = 1000", "face_yuan = 10", "drops[0].pack[0].face_yuan: Extra inputs"),
        ("opens_at = 2020-04-20T20:00:00+08:00", "opens_at = 2020-04-20T20:00:00", "opens_at: "),
        ("share_bp = 2000", "share_bp = 2001", "must sum to 10000, not 10001"),
        ("amount_fen = 1_500_000_000", "amount_fen = 1", "missing are 1499999999 fen of merchants"),
        ('funder_id = "city"\namount', 'funder_id = "bank"\namount', "bank, who is no funder"),
        ("bot_share = 0.01", "bot_share = 2.0", "demo.crowd.bot_share: "),
        ('mode = "grab"', 'mode = "lottery"', "drops[0]: "),
        ('category = "general"', 'category = "catering"', "no merchant takes catering"),
        ("redeemed_bp = 7020", "redeemed_bp = 10_000", "more vouchers than there are"),
        ("percent_by_day = [30,", "percent_by_day = [31,", "must sum to 100, not 101"),
        ("10, 9, 9]", "10, 9, 8, 1]", "demo.shopping has 8 days"),
        ("rejected_payouts = 3", "rejected_payouts = 7", "one payout a day at most"),
        ("platform = { en", "plattform = { en", "demo.report.funders must name each funder"),
        ("omit = 2", "omits = 2", "demo.trouble.differences.omits: Extra inputs"),
        ('grade = "B"', 'grade = "D"', "source.citations[0].grade: "),
        ("name = ", "name : ", "is not TOML: "),
    ],
)
def test_an_error_names_the_key(tmp_path: Path, written: str, instead: str, told: str) -> None:
    text = HANGZHOU.read_text()
    assert written in text
    path = tmp_path / "programme.toml"
    path.write_text(text.replace(written, instead, 1))

    with pytest.raises(ProgrammeFileError) as refused:
        read_programme_file(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeFileError, match="cannot be read: No such file"):
        read_programme_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("draws_at = 2020-10-12T12", "draws_at = 2020-10-11T12", "draws_at must not be before"),
        ("draws_at = 2020-10-12T12", "draws_at = 2020-10-20T12", "must be after draws_at"),
        ("min_spend_fen = 0", "min_spend_fen = 1", "is spent in parts and asks for a minimum"),
        ('mode = "lottery"', 'mode = "grab"', "mode lottery and the table [drops.lottery]"),
    ],
)
def test_what_cannot_be_played_is_checked_all_the_same(
    tmp_path: Path, written: str, instead: str, told: str
) -> None:
    text = LUOHU.read_text()
    assert written in text
    path = tmp_path / "programme.toml"
    path.write_text(text.replace(written, instead, 1))

    with pytest.raises(ProgrammeFileError) as refused:
        read_programme_file(path)
    assert told in str(refused.value)
