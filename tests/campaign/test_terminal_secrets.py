"""A till's secret: shown to whoever registers it, and kept nowhere."""

import base64
from uuid import UUID, uuid4

from shared.terminal_keys import TerminalKeys, terminal_of
from tests.campaign.desk import Desk
from tests.campaign.terms import CITY, make_merchant, make_terminal


async def test_a_till_is_registered_with_its_key(desk: Desk) -> None:
    operator = desk.operator(CITY)
    merchant_id = await make_merchant(operator)
    answer = await operator.post(f"/v1/merchants/{merchant_id}/terminals", {})
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    till = answer.body
    assert till == {
        "terminal_id": till["terminal_id"],
        "merchant_id": merchant_id,
        "key_id": till["key_id"],
        "secret": till["secret"],
        "state": "active",
        "created_at": till["created_at"],
        "created_by": "operator-1",
        "suspended_at": None,
        "suspended_by": None,
    }
    assert terminal_of(till["key_id"]) == UUID(till["terminal_id"])
    secret = base64.urlsafe_b64decode(till["secret"] + "=")
    assert len(secret) == 32
    # What the redeem service derives from the same key, to check signatures.
    assert secret == TerminalKeys(desk.secrets).secret(till["key_id"])
    other = await make_terminal(operator, merchant_id)
    assert {other["secret"], other["key_id"]}.isdisjoint({till["secret"], till["key_id"]})


async def test_a_secret_is_nowhere_in_the_database(desk: Desk) -> None:
    operator = desk.operator(CITY)
    path = f"/v1/merchants/{await make_merchant(operator)}/terminals"
    once = f"key-{uuid4()}"
    made = await operator.post(path, {}, key=once)
    # The lost answer is said again whole, for the request that it answers.
    again = await operator.post(path, {}, key=once)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body, again.headers["cache-control"]) == (
        *(201, made.body, "no-store"),
    )
    kept = await desk.owner.fetchval(
        "SELECT body::text FROM campaign.idempotency_keys WHERE key = $1", once
    )
    assert made.body["terminal_id"] in kept
    tables = await desk.owner.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace::regnamespace::text IN ('campaign', 'claim', 'redeem', 'ledger')"
    )
    secret = made.body["secret"]
    raw = base64.urlsafe_b64decode(secret + "=").hex()
    for (table,) in tables:
        found = await desk.owner.fetchval(
            f"SELECT count(*) FROM {table} AS kept"  # noqa: S608 - a name of the catalogue
            " WHERE position($1 IN kept::text) > 0 OR position($2 IN kept::text) > 0",
            *(secret, raw),
        )
        assert found == 0, table
