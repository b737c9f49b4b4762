"""Whether everything is there that the platform needs."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from typing import Any

import asyncpg
from starlette.responses import Response

from usp import migrate
from usp.api import responses
from usp.api.database import Database
from usp.api.problems import problem
from usp.errors import UspError
from usp.models.tables import DEAD_AFTER_S

Check = dict[str, Any]

#: Whoever asks whether we are ready wants to know soon.
CHECK_S = 3.0


class NotReady(UspError):
    """A dependency does not do what it should."""


head_revision = cache(migrate.head_revision)


async def _database(open_data: Database, operations: Database) -> str:
    for database in (open_data, operations):
        async with database.connection() as connection:
            version = await connection.fetchval("SELECT current_setting('server_version')")
    return f"PostgreSQL {version}"


async def _schema(_: Database, operations: Database) -> str:
    async with operations.connection() as connection:
        found = await connection.fetchval("SELECT version_num FROM usp.alembic_version")
    head = head_revision()
    if found != head:
        raise NotReady(f"revision {found}, this program needs {head}: run `usp migrate`")
    return f"revision {found}"


async def _ingest(_: Database, operations: Database) -> str:
    async with operations.connection() as connection:
        workers = await connection.fetch(
            "SELECT connected, extract(epoch FROM now() - heartbeat_at)::float8 AS age FROM usp.worker"
        )
    alive = [w for w in workers if w["age"] < DEAD_AFTER_S]
    if not alive:
        raise NotReady("no ingest worker is running")
    if not any(w["connected"] for w in alive):
        raise NotReady("no ingest worker is connected to the broker")
    return f"{len(alive)} running, {sum(w['connected'] for w in alive)} connected to the broker"


#: Everything outside this process: its name, whether nothing can be answered without it, and how to ask.
DEPENDENCIES: dict[str, tuple[bool, Callable[[Database, Database], Awaitable[str]]]] = {
    "database": (True, _database),
    "schema": (True, _schema),
    "ingest": (False, _ingest),
}


async def dependencies(open_data: Database, operations: Database) -> dict[str, Check]:
    """Ask every dependency, all at once."""

    async def ask(critical: bool, check: Callable[[Database, Database], Awaitable[str]]) -> Check:  # noqa: FBT001
        try:
            async with asyncio.timeout(CHECK_S):
                status, detail = "ok", await check(open_data, operations)
        except TimeoutError:
            status, detail = "failing", f"no answer within {CHECK_S:.0f} s"
        except NotReady as error:
            status, detail = "failing", error.detail
        except UspError as error:
            status, detail = "failing", error.message
        except asyncpg.PostgresError:
            status, detail = "failing", "the schema is not this program's: run `usp migrate`"
        return {"status": status, "critical": critical, "detail": detail}

    found = await asyncio.gather(*(ask(*d) for d in DEPENDENCIES.values()))
    return dict(zip(DEPENDENCIES, found, strict=True))


def verdict(checks: dict[str, Check]) -> Response:
    """Ready, or a problem that names what is missing."""
    failing = [name for name, check in checks.items() if check["critical"] and check["status"] != "ok"]
    if failing:
        detail = f"Not ready: {', '.join(failing)}."
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, dependencies=checks)
    return responses.one({"status": "ready", "dependencies": checks})
