"""Alembic's environment: runs the revisions on the connection that `migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from shared.tables import Model

SCHEMAS = {"campaign", "claim", "redeem", "ledger"}


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "schema" or name in SCHEMAS


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Model.metadata,
        include_schemas=True,
        include_name=_is_ours,
        version_table_schema="public",
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
