"""Alembic's environment: one asynchronous connection, one transaction, the version table beside ours."""

import asyncio

from alembic import context
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

#: Two migrations at once would fight over the same names; the second waits for the first.
_LOCK = 0x757370


def _migrate(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS usp")
    context.configure(connection=connection, version_table_schema="usp")
    context.run_migrations()


async def _run() -> None:
    url = make_url(context.config.attributes["database_url"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
