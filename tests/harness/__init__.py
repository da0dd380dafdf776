"""What concurrency and fault tests share.

`stack` runs a real `fairdrop serve`, `city` makes and runs drops as an operator, `crowd` sends
residents who retry until they have a final answer, `history` judges everything they were told
against the ledger, `books` reads the ledger and checks the invariants.

A test reads:

    drop = await city.open_drop(quota=500)
    rush = crowd.rush(drop, residents(2_000), connections=3)
    await rush.until(wins=100)
    ...                                   # the fault
    await rush.ended()
    await assert_everything_holds(stack, drop, rush)
"""
