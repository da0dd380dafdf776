"""Each check on the crowd's log finds the fault it is for, and nothing else does."""

from collections.abc import Callable

import pytest

from services.demo.checking import check_log
from services.demo.claim_log import SOLD_OUT, ClaimLog, Yes

PACKS = 3


def sound_log() -> ClaimLog:
    """Holders 0 to 2 win, 1 asks again; 3 and 4 are refused."""
    log = ClaimLog()
    for serial in (1, 2, 3):
        log.told_yes(Yes(serial - 1, f"claim-{serial}", serial))
    log.told_yes(Yes(1, "claim-2", 2))
    log.noes += [(3, SOLD_OUT), (4, SOLD_OUT)]
    return log


def in_the_ledger(log: ClaimLog) -> dict[tuple[int, str], int | None]:
    return {(yes.holder, yes.claim_id): yes.serial for yes in log.yeses}


def broken(log: ClaimLog, read_back: dict[tuple[int, str], int | None]) -> dict[str, int]:
    checks = check_log(log, read_back, PACKS)
    return {check.name: check.offenders for check in checks if check.offenders}


def test_a_sound_log_has_no_offender() -> None:
    log = sound_log()

    assert broken(log, in_the_ledger(log)) == {}


@pytest.mark.parametrize("found", [None, 4])
def test_a_promised_claim_that_is_lost_or_another_is_found(found: int | None) -> None:
    log = sound_log()
    read_back = in_the_ledger(log) | {(2, "claim-3"): found}

    assert broken(log, read_back) == {"I3_every_yes_is_in_the_ledger": 1}


def give_a_second_claim(log: ClaimLog) -> None:
    log.told_yes(Yes(1, "claim-9", 4))


def give_a_claim_to_a_second_holder(log: ClaimLog) -> None:
    log.told_yes(Yes(5, "claim-3", 3))


def repeat_a_serial(log: ClaimLog) -> None:
    log.told_yes(Yes(5, "claim-9", 3))


def leave_a_serial_out(log: ClaimLog) -> None:
    del log.yeses[2]


def refuse_a_winner(log: ClaimLog) -> None:
    log.noes.append((0, SOLD_OUT))


def refuse_for_another_reason(log: ClaimLog) -> None:
    log.noes.append((5, "closed"))


def leave_somebody_waiting(log: ClaimLog) -> None:
    log.undecided.append(5)


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (give_a_second_claim, {"crowd_one_claim_each", "crowd_every_serial_was_told"}),
        (give_a_claim_to_a_second_holder, {"crowd_one_holder_of_each_claim"}),
        (repeat_a_serial, {"crowd_serials_are_distinct"}),
        (leave_a_serial_out, {"crowd_every_serial_was_told"}),
        (refuse_a_winner, {"crowd_no_yes_was_also_a_no"}),
        (refuse_for_another_reason, {"crowd_refused_for_stock_alone"}),
        (leave_somebody_waiting, {"crowd_everybody_was_told"}),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[ClaimLog], None], names: set[str]) -> None:
    log = sound_log()
    plant(log)

    assert broken(log, in_the_ledger(log)) == dict.fromkeys(names, 1)
