"""The week at the tills, day by day: shops redeem while finance is at the day before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

from services.demo.calendar import Calendar
from services.demo.desk import Desk, desk_at
from services.demo.played import Played
from services.demo.reconciling import Reconciled, Reconciler, spread_lies
from services.demo.redeeming import Cashiers, Market
from services.demo.reporting import yuan
from services.demo.returning import close_drops, return_money, wait_for_expiry
from services.demo.settling import Staff, settle, spread_rejections
from services.demo.shopping import Errand, draw_errands
from services.demo.showing import Stage
from services.demo.stack import DemoError, Stack
from services.demo.till import TillLine
from services.demo.treasury import Treasury
from services.demo.wire import Wire
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role

OPERATOR, FINANCE, APPROVER = "demo-operator", "demo-finance", "demo-approver"
_CONNECTIONS_MAX = 96
# A digital-yuan payment waits for its operator, who is at a handful of them at a time.
_AT_ONCE = {"bank": 256, "ecny": 32}
_TICK_S = 0.25
# Of the week at the tills: the days on which the wallet's operator is not itself.
_TROUBLED_DAYS = (0, 2)


@dataclass(frozen=True, slots=True)
class Office:
    """The staff of one programme's city, each at a desk."""

    operator: Desk
    staff: Staff


@asynccontextmanager
async def open_office(
    stack: Stack, issuer: DevelopmentIssuer, city_code: str
) -> AsyncIterator[Office]:
    """Seat everybody with a token of their own."""
    async with AsyncExitStack() as desks:
        operator, finance, approver = [
            await desks.enter_async_context(
                desk_at(stack.urls[service], issuer.issue(subject, [role], cities=[city_code]))
            )
            for service, subject, role in (
                ("campaign", OPERATOR, Role.OPERATOR),
                ("ledger", FINANCE, Role.FINANCE),
                ("ledger", APPROVER, Role.APPROVER),
            )
        ]
        yield Office(operator, Staff(finance, approver))


@dataclass(slots=True)
class _Stand:
    """One programme's part of the week."""

    played: Played
    office: Office
    cashiers: Cashiers
    errands: list[list[Errand]]
    rejections: list[list[float]]
    bank: Reconciler
    wallet: Reconciler | None
    said: list[str] = field(default_factory=list)


def _sums(stands: Sequence[_Stand]) -> tuple[int, int]:
    """Return how many customers were served, and how many of them redeemed."""
    return (
        sum(stand.cashiers.served for stand in stands),
        sum(len(stand.played.tills.redeemed) for stand in stands),
    )


class Week:
    """Plays the week of all programmes together, from the day of their drops."""

    def __init__(
        self, stage: Stage, treasury: Treasury, calendar: Calendar, first_day: date
    ) -> None:
        self._stage = stage
        self._treasury = treasury
        self._calendar = calendar
        self._first_day = first_day

    async def play(
        self, all_played: Sequence[Played], offices: Sequence[Office], stack: Stack
    ) -> None:
        """Play every day, and the two after the last on which everything ends.

        Raises:
            DeskError, DemoError: something was refused, or did not come to its end.
        """
        phones = Wire(stack.urls["claim"], connections_max=_CONNECTIONS_MAX)
        tills = Wire(stack.urls["redeem"], connections_max=_CONNECTIONS_MAX)
        try:
            stands = [
                self._stand(number, played, office, phones, TillLine(tills))
                for number, (played, office) in enumerate(
                    zip(all_played, offices, strict=True), start=1
                )
            ]
            days = max(played.plan.days for played in all_played)
            for number in range(days):
                await self._play_day(stands, number)
            await self._end(stands, days, max(played.plan.valid_days for played in all_played))
        finally:
            phones.close()
            tills.close()

    def _stand(
        self, number: int, played: Played, office: Office, phones: Wire, line: TillLine
    ) -> _Stand:
        shopping, trouble = played.plan.demo.shopping, played.plan.demo.trouble
        vouchers = [
            (holder, voucher)
            for holder, pack in sorted(played.claims.packs.items())
            for voucher in pack
        ]
        categories = {voucher.category for _, voucher in vouchers}
        tills = {category: played.seeded.tills_for(category) for category in categories}
        lies = spread_lies(trouble.differences, played.plan.days)
        market = Market(played.tokens, tills, _AT_ONCE[played.drop.rail], f"p{number}-")
        wallet, bank_lies = None, lies
        if played.drop.rail == "ecny":
            wallet = self._reconciler(played, office, "wallet", lies)
            bank_lies = []
        return _Stand(
            played,
            office,
            Cashiers(phones, line, market, played.tills),
            draw_errands(shopping, vouchers, {name: len(of) for name, of in tills.items()}),
            spread_rejections(trouble.rejected_payouts, played.plan.days, trouble.differences.seed),
            self._reconciler(played, office, "bank", bank_lies),
            wallet,
        )

    def _reconciler(
        self, played: Played, office: Office, account: str, lies: list[list[str]]
    ) -> Reconciler:
        desk = self._treasury.bank if account == "bank" else self._treasury.operator
        if desk is None:
            raise DemoError(f"The simulated {account} is not there.")
        return Reconciler(
            office.staff,
            desk,
            played.programme_id,
            "bank-statement" if account == "bank" else "ecny-daily",
            lies=lies,
            seed=played.plan.demo.trouble.differences.seed,
        )

    async def _play_day(self, stands: Sequence[_Stand], number: int) -> None:
        """Play a day; in its morning finance begins to settle and reconcile the day before."""
        day = self._first_day + timedelta(days=number)
        if number:
            await self._calendar.move_to_morning(day)
        at_work = [stand for stand in stands if number < stand.played.plan.days]
        todo = sum(len(stand.errands[number]) for stand in at_work)
        served, redeemed = _sums(stands)
        with self._stage.bar(f"{day:%d %b}", todo) as tell:
            async with asyncio.TaskGroup() as group:
                working = [group.create_task(self._serve(stand, number)) for stand in at_work]
                if number:
                    working += [
                        group.create_task(self._settle_day(stand, number - 1)) for stand in stands
                    ]
                while not all(task.done() for task in working):
                    await asyncio.wait(working, timeout=_TICK_S)
                    served_now, redeemed_now = _sums(stands)
                    said = [text for stand in stands for text in stand.said]
                    note = "; ".join([f"{redeemed_now - redeemed:,} redeemed", *said])
                    tell(served_now - served, note)
        for stand in stands:
            stand.said.clear()

    async def _serve(self, stand: _Stand, number: int) -> None:
        if number in _TROUBLED_DAYS:
            await self._command_faults(stand)
        await stand.cashiers.serve(stand.errands[number])

    async def _command_faults(self, stand: _Stand) -> None:
        """Have the operator not answer some payments, not get some, and get others twice."""
        trouble = stand.played.plan.demo.trouble
        payments = sum(len(errands) for errands in stand.errands) // len(_TROUBLED_DAYS)
        faults = [
            {"on": "payments", "do": do, "times": round(payments * share)}
            for do, share in (
                ("silence", trouble.silent_share),
                ("lose", trouble.lost_share),
                ("duplicate", trouble.doubled_share),
            )
            if round(payments * share)
        ]
        if faults and self._treasury.operator is not None and stand.wallet is not None:
            await self._treasury.operator.post("/simulate/faults", {"faults": faults})

    async def _settle_day(self, stand: _Stand, number: int) -> None:
        """Pay what shops are owed of a day, then reconcile that day's statements."""
        played = stand.played
        if played.drop.rail == "bank" and number < played.plan.days:
            before = len(played.settled.paid)
            await settle(
                stand.office.staff,
                self._treasury,
                played.programme_id,
                self._first_day + timedelta(days=number),
                rejected=stand.rejections[number],
                settled=played.settled,
            )
            stand.said.append(f"{len(played.settled.paid) - before} shops paid")
        await self._reconcile_day(stand, number)

    async def _reconcile_day(self, stand: _Stand, number: int, *, is_last: bool = False) -> None:
        """Reconcile a day's statements; an e-CNY programme's money is at the bank at its ends."""
        day = self._first_day + timedelta(days=number)
        if stand.wallet is not None:
            self._note(stand, await stand.wallet.reconcile(day, number))
        if stand.wallet is None or number == 0 or is_last:
            self._note(stand, await stand.bank.reconcile(day, number))

    def _note(self, stand: _Stand, reconciled: Reconciled) -> None:
        stand.played.reconciled.append(reconciled)
        found = len(reconciled.found)
        if found:
            stand.said.append(f"{found} difference{'s' if found > 1 else ''} found")

    async def _end(self, stands: Sequence[_Stand], days: int, valid_days: int) -> None:
        """After the last day shops get the rest; when vouchers have expired, the funders theirs."""
        await self._calendar.move_to_morning(self._first_day + timedelta(days=days))
        for stand in stands:
            await self._settle_day(stand, days - 1)
            self._stage.step("The day after", "; ".join([_name(stand), *stand.said]))
        if days < valid_days:
            await self._calendar.move_to_morning(self._first_day + timedelta(days=valid_days))
            for stand in stands:
                await self._reconcile_day(stand, days)
        for stand in stands:
            await self._give_back(stand)
            returned = yuan(sum(told["total_fen"] for told in stand.played.returns))
            self._stage.step("Returned", f"{_name(stand)}: {returned} yuan, what expired included")
        await self._calendar.move_to_morning(self._first_day + timedelta(days=valid_days + 1))
        for stand in stands:
            await self._reconcile_day(stand, valid_days, is_last=True)

    async def _give_back(self, stand: _Stand) -> None:
        played, finance = stand.played, stand.office.staff.finance
        await wait_for_expiry(finance, played.programme_id)
        await close_drops(stand.office.operator, [drop.drop_id for drop in played.seeded.drops])
        await self._treasury.carry_out(finance, played.programme_id)
        funders = [funder.funder_id for funder in played.file.programme.funders]
        played.returns += await return_money(stand.office.staff, played.programme_id, funders)
        await self._treasury.carry_out(finance, played.programme_id)


def _name(stand: _Stand) -> str:
    return stand.played.file.programme.name
