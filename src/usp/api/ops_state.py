"""The state of what the platform stands on: database, roll-ups, broker, workers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from usp.api.figures import ROLLUP
from usp.db import Connection
from usp.models.datasets import DATASETS
from usp.models.tables import DEAD_AFTER_S

Document = dict[str, Any]

#: What takes longer, or waits for a lock, is not told: operators look when something is wrong.
PATIENCE_MS = 500

_TIMESCALE = """
    SELECT extversion AS timescaledb, current_setting('timescaledb.license', true) AS licence
    FROM pg_extension WHERE extname = 'timescaledb'
"""
_CONNECTIONS = """
    SELECT count(*) AS used, current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int AS most
    FROM pg_stat_activity
    -- Of other accounts' connections their database is shown, and not to everybody what they are.
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)
"""
# Roll-ups, and whatever clears away, wait for it, and the streams read again what was written since: it is the one of
# the lowest number, of whatever database of the server. When another account's began is shown to members of
# pg_read_all_stats only; a prepared one has no process.
_OLDEST_WRITE = """
    SELECT pid, application, account, round(extract(epoch FROM clock_timestamp() - began), 1)::float8 AS seconds
    FROM (
        SELECT pid, application_name AS application, usename AS account, xact_start AS began, backend_xid AS xid
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL
        UNION ALL
        SELECT NULL, format('prepared transaction %L in %I', gid, database), owner, prepared, transaction
        FROM pg_prepared_xacts
    ) writing
    ORDER BY age(xid) DESC LIMIT 1
"""
# Rows as the database last estimated them, without reading any; of a chunk never looked at nothing is known.
_HYPERTABLES = """
    SELECT t.relname AS table, nullif(sum(greatest(k.reltuples, 0)), 0)::bigint AS rows,
        (pg_total_relation_size(t.oid) + coalesce(sum(pg_total_relation_size(k.oid)), 0))::bigint AS bytes,
        count(k.oid) AS chunks
    FROM pg_class t LEFT JOIN pg_inherits i ON i.inhparent = t.oid LEFT JOIN pg_class k ON k.oid = i.inhrelid
    WHERE t.relnamespace = 'usp'::regnamespace AND t.relname = ANY($1) GROUP BY t.oid, 1
    ORDER BY array_position($1, t.relname::text)
"""
_TABLES = [name + suffix for suffix in ("", "_hourly") for name in DATASETS]

_WORKERS = """
    SELECT slot, host, pid, started_at, heartbeat_at, in_flight, connected,
        heartbeat_at > now() - $1::float8 * interval '1 second' AS alive
    FROM usp.worker ORDER BY slot
"""


async def _timescale(connection: Connection) -> Document:
    return dict(await connection.fetchrow(_TIMESCALE) or {})


async def _connections(connection: Connection) -> Document:
    return dict(await connection.fetchrow(_CONNECTIONS) or {})


async def _oldest_write(connection: Connection) -> Document | None:
    row = await connection.fetchrow(_OLDEST_WRITE)
    return None if row is None else dict(row)


async def _hypertables(connection: Connection) -> list[Document]:
    rows = await connection.fetch(_HYPERTABLES, _TABLES)
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


async def _size(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_database_size(current_database())"))


#: Member -> how to ask for it.
QUESTIONS: dict[str, Callable[[Connection], Awaitable[Any]]] = {
    "timescaledb": _timescale,
    "size_bytes": _size,
    "connections": _connections,
    "oldest_write": _oldest_write,
    "hypertables": _hypertables,
}


async def document(connection: Connection, brokers: Sequence[str]) -> Document:
    """Everything, over a connection with the writer's rights; `brokers` are those that this process was told of."""
    async with connection.transaction(readonly=True):
        for limit in ("statement_timeout", "lock_timeout"):
            await connection.execute(f"SET LOCAL {limit} = {PATIENCE_MS}")
        workers = [dict(row) for row in await connection.fetch(_WORKERS, DEAD_AFTER_S)]
        now = await connection.fetchval("SELECT now()")
        rollup = [
            dict(row) | {"behind_s": round((now - row["rolled"]).total_seconds(), 1)}
            for row in await connection.fetch(ROLLUP)
        ]
        # What others do is shown to the account that has logged in, and to none of the roles that it takes.
        await connection.execute("SET LOCAL ROLE NONE")
        database = await _database(connection)
    alive = [worker for worker in workers if worker["alive"]]
    broker = {
        "addresses": [*brokers],
        "workers": len(alive),
        "connected": sum(worker["connected"] for worker in alive),
        "in_flight": sum(worker["in_flight"] for worker in alive),
    }
    return {"database": database, "rollup": rollup, "broker": broker, "workers": workers}


async def _database(connection: Connection) -> Document:
    """Each question for itself; `unanswered` names those that took too long, or that this account may not ask."""
    found: Document = {"postgresql": connection.get_settings().server_version}
    unanswered = []
    for name, ask in QUESTIONS.items():
        try:
            async with connection.transaction():
                answer = await ask(connection)
        except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError):
            unanswered.append(name)
        else:
            found |= answer if name == "timescaledb" else {name: answer}
    return found | {"unanswered": unanswered}
