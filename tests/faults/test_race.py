from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents


async def test_two_thousand_holders_race_for_five_hundred_packs(city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=500)
    async with crowd.rush(drop, residents(2_000), connections=3) as rush:
        history = await rush.ended()
    print(history.told())
    ledger = await assert_everything_holds(rush)
    assert len({win.claim_id for win in history.wins}) == 500
    assert sorted(claim.serial for claim in ledger.claims) == list(range(1, 501))
    assert len(history.winners) == 500
