"""What a test asks of the simulators, with as little as it takes."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.formats import bank_statement, ecny_daily, payout_file
from shared.formats.bank_statement import BankStatement
from shared.formats.ecny_daily import DailyFile
from shared.formats.payout_file import PayoutFile, PayoutLine
from tests.callers import Answer, Caller

WALLET, SHOP, ACCOUNT = "wallet-1", "shop-1", "acct-1"
AT = "2027-05-01T02:00:00Z"
DAY = date(2027, 5, 1)


async def top_up(operator: Caller, amount_fen: int = 10_000, **said: object) -> Answer:
    body = {"reference": "move-1", "direction": "in", "amount_fen": amount_fen, "instructed_at": AT}
    return await operator.post(f"/v1/wallets/{WALLET}/transfers", body | said)


async def pay(operator: Caller, number: str, amount_fen: int = 700, **said: object) -> Answer:
    body = {
        "end_to_end_no": number,
        "wallet": WALLET,
        "payee_wallet": SHOP,
        "amount_fen": amount_fen,
        "instructed_at": AT,
    }
    return await operator.post("/v1/payments", body | said)


async def refund(operator: Caller, number: str, original: str, amount_fen: int = 700) -> Answer:
    body = {
        "end_to_end_no": number,
        "original_end_to_end_no": original,
        "amount_fen": amount_fen,
    }
    return await operator.post("/v1/refunds", body)


async def deposit(bank: Caller, amount_fen: int = 10_000, **said: object) -> Answer:
    body = {
        "account": ACCOUNT,
        "reference": "treasury",
        "amount_fen": amount_fen,
        "counterparty": "Bureau",
        "instructed_at": AT,
    }
    return await bank.post("/v1/deposits", body | said)


def payouts(batch: str, *payments: tuple[str, int]) -> bytes:
    """Return a payout file of these numbers and amounts."""
    lines = (
        PayoutLine(number, number, f"merchant-{number}", "Noodles", f"shop-{number}", amount_fen)
        for number, amount_fen in payments
    )
    return payout_file.write(PayoutFile(batch, ACCOUNT, tuple(lines)))


async def give(bank: Caller, file: bytes) -> Answer:
    return await bank.send(
        "POST",
        f"/v1/payout-files?instructed_at={AT}",
        data=file,
        headers={"Content-Type": "text/csv"},
    )


async def states(caller: Caller, path: str, numbers: Mapping[str, str]) -> None:
    """Check what is known of each number; `none` is one that never arrived."""
    found = {}
    for number in numbers:
        answer = await caller.get(f"{path}/{number}")
        found[number] = "none" if answer.status == 404 else answer.body["state"]
    assert found == numbers


async def command(caller: Caller, *faults: Mapping[str, object]) -> None:
    answer = await caller.post("/simulate/faults", {"faults": list(faults)})
    assert answer.status == 201, answer.body


async def plant(caller: Caller, account: str, *lies: Mapping[str, object], seed: int = 1) -> Any:  # noqa: ANN401 - JSON
    """Plant lies in the file of DAY; return what was planted."""
    answer = await caller.post(
        "/simulate/lies",
        {"account": account, "day": DAY.isoformat(), "seed": seed, "lies": list(lies)},
    )
    assert answer.status == 201, answer.body
    return answer.body


async def file_of(caller: Caller, path: str) -> bytes:
    async with caller.http.get(path) as answer:
        content = await answer.read()
        assert answer.status == 200, content
        return content


async def daily(operator: Caller, day: date = DAY) -> DailyFile:
    """Return the wallet's daily file, which must be sound."""
    file = ecny_daily.parse(await file_of(operator, f"/v1/files/{WALLET}/{day}"))
    assert isinstance(file, DailyFile), file
    assert file.quarantined == ()
    return file


async def statement(bank: Caller, day: date = DAY) -> BankStatement:
    """Return the account's statement, which must be sound."""
    read = bank_statement.parse(await file_of(bank, f"/v1/statements/{ACCOUNT}/{day}"))
    assert isinstance(read, BankStatement), read
    assert read.quarantined == ()
    return read
