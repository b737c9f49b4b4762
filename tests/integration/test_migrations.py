"""A migrated database is the one the declarations describe, forwards and backwards."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from usp.embedded import Parts
from usp.migrate import downgrade, head_revision, migrate
from usp.models.tables import READERS, SCHEMA, ddl

MakeDatabase = Callable[..., Awaitable[str]]

DIMENSIONS = """
SELECT hypertable_schema, hypertable_name, column_name, column_type, dimension_type, time_interval
FROM timescaledb_information.dimensions ORDER BY 1, 2, 3
"""


def dump(parts: Parts, url: str) -> list[str]:
    """The schema as text, without the version table, and in an order that does not depend on history."""
    text = subprocess.run(
        [str(parts.pg_dump), "-s", "--restrict-key", "test", "--exclude-table", "usp.alembic_version",
         *(word for schema in (SCHEMA, *READERS) for word in ("--schema", schema)), url],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [line for line in text.splitlines() if line and not line.startswith("--")]


@pytest.mark.usefixtures("template")
async def test_migrated_equals_declared(parts: Parts, database_url: str, empty_database: MakeDatabase) -> None:
    """The revisions' literal statements and today's declarations make the same database."""
    declared_url = await empty_database()
    declared = await asyncpg.connect(declared_url)
    for statement in ddl():
        await declared.execute(statement)
    migrated = await asyncpg.connect(database_url)
    assert dump(parts, database_url) == dump(parts, declared_url)
    dimensions = await migrated.fetch(DIMENSIONS)
    assert dimensions == await declared.fetch(DIMENSIONS)
    assert dimensions
    await declared.close()
    await migrated.close()


async def test_up_down_up_on_a_populated_database(parts: Parts, empty_database: MakeDatabase, template: str) -> None:
    """Going back removes what was made and nothing else, also with data in it; forward again it is as before."""
    url = await empty_database(template)
    before = dump(parts, url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        INSERT INTO usp.profile VALUES ('p', 'P', 'lamppost', 60, 90000, '{}');
        INSERT INTO usp.device (name, kind, profile) VALUES ('lamp-1', 'lamppost', 'p');
        INSERT INTO usp.air_quality (time, device, no2, received_at)
            SELECT t, 1, 31, t FROM generate_series('2026-11-01Z'::timestamptz, '2026-11-20Z', '1 hour') t;
        CREATE TABLE public.of_somebody_else (x integer);
        """
    )
    await connection.close()
    await asyncio.to_thread(downgrade, url, "base")
    assert not [line for line in dump(parts, url) if line.startswith("CREATE TABLE") or "VIEW" in line]
    await asyncio.to_thread(migrate, url)
    assert dump(parts, url) == before
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM usp.air_quality") == 0
    assert await connection.fetchval("SELECT count(*) FROM public.of_somebody_else") == 0
    assert await connection.fetchval("SELECT version_num FROM usp.alembic_version") == head_revision()
    await connection.close()
