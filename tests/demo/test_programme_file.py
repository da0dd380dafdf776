from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.programme_file import ProgrammeFileError, read_programme_file

EXAMPLES = Path(__file__).parents[2] / "examples"
HANGZHOU = EXAMPLES / "hangzhou-2020-round-5.toml"


def test_hangzhou_has_the_figures_of_history() -> None:
    file = read_programme_file(HANGZHOU)

    assert file.programme.city_code == "330100"
    [drop] = file.drops
    assert drop.quota == 1_500_000
    assert drop.opens_at == datetime(2020, 4, 20, 12, tzinfo=UTC)
    [kind] = drop.pack
    assert (kind.face_fen, kind.min_spend_fen, kind.count) == (1000, 4000, 5)
    assert kind.valid_days == 7
    assert sum(payment.amount_fen for payment in file.funding) == 1_500_000 * 5 * 1000
    assert file.source.sold_out_after_s == 105
    assert file.source.redemption is not None
    assert file.source.redemption.share_bp == 7020


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_every_example_can_be_read(path: Path) -> None:
    assert read_programme_file(path).source.citations


def test_a_scaled_programme_is_funded_to_the_fen() -> None:
    file = read_programme_file(HANGZHOU).scaled(333)

    assert [drop.quota for drop in file.drops] == [333]
    assert [payment.amount_fen for payment in file.funding] == [333 * 4000, 333 * 1000]


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
        ("bot_share = 0.01", "bot_share = 2.0", "demo.bot_share: "),
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
