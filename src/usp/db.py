"""Connections to TimescaleDB, and what its errors mean for whoever meets them."""

from enum import StrEnum
from typing import Any, TypeAlias, cast

import asyncpg

#: Roles made by the migrations: whoever reads sees the views of one schema, ingest and the platform itself the tables.
OPEN_ROLE = "usp_open"
RESTRICTED_ROLE = "usp_restricted"
OPS_ROLE = "usp_ops"
WRITER_ROLE = "usp_writer"

CONNECT_TIMEOUT_S = 10.0
#: For so long beyond its own limit a server may be silent about a statement before it counts as gone.
COMMAND_GRACE_S = 5.0

#: A connection of a worker's own that answers nothing for so long counts as gone.
SILENCE_S = 60.0

#: After a minute of silence the server gives up on a client whose host is gone, and with it on the client's locks.
#: Keepalives are not sent while an answer waits to be acknowledged, hence the limit on that.
_KEEPALIVES = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Verdict(StrEnum):
    """What to do about a failed statement."""

    RETRY = "retry"
    POISON = "poison"
    FATAL = "fatal"


#: SQLSTATE, or its class of two characters -> verdict; the longer key wins (PostgreSQL 17, appendix A).
VERDICTS = {
    "08": Verdict.RETRY,  # connection exception
    "22": Verdict.POISON,  # data exception: some value cannot be represented
    "23": Verdict.POISON,  # integrity constraint violation
    "25006": Verdict.RETRY,  # read-only transaction: a failover is under way
    "28": Verdict.RETRY,  # password changed or not yet there: an operator mends it, no reading may be lost
    "3D000": Verdict.RETRY,  # the database is being restored
    "40": Verdict.RETRY,  # serialization failure, deadlock
    "42": Verdict.FATAL,  # our statement does not fit their schema
    "42501": Verdict.FATAL,  # insufficient privilege
    "53": Verdict.RETRY,  # out of memory, disk or connections
    "54": Verdict.POISON,  # program limit exceeded: some value is too long
    "55": Verdict.RETRY,  # object in use, lock not available
    "57": Verdict.RETRY,  # cancelled, shutting down, starting up
    "58": Verdict.RETRY,  # system error: I/O
    "XX": Verdict.RETRY,  # internal error
}


#: What a connection says when its server has gone, or when it lost its thread over that.
LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def verdict(error: BaseException) -> Verdict:
    """Decide about an error met while writing; what is unknown is retried, since nothing may be lost."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return VERDICTS.get(state) or VERDICTS.get(state[:2]) or Verdict.RETRY
    if isinstance(error, asyncpg.DataError | OverflowError | UnicodeError):
        return Verdict.POISON  # asyncpg refuses what it cannot encode before the server sees it
    if isinstance(error, LOST):
        return Verdict.RETRY
    return Verdict.FATAL


def _server_settings(
    role: str | None, application: str, statement_timeout_s: float | None, schema: str | None = None
) -> dict[str, str]:
    settings = {"application_name": application, "timezone": "UTC", "datestyle": "ISO", "jit": "off"} | _KEEPALIVES
    if role is not None:
        settings["role"] = role
    if schema is not None:
        settings["search_path"] = schema
    if statement_timeout_s is not None:
        settings["statement_timeout"] = f"{statement_timeout_s * 1000:.0f}"
    return settings


async def connect(url: str, *, role: str | None, application: str) -> Connection:
    """One connection for a worker of its own. A statement that is not answered ends with TimeoutError."""
    return await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=SILENCE_S,
        server_settings=_server_settings(role, application, None),
    )


async def open_pool(
    url: str,
    *,
    role: str,
    application: str,
    size: int = 10,
    statement_timeout_s: float | None = 30.0,
    schema: str | None = None,
) -> Pool:
    """Open a pool for readers; `real` values arrive as their shortest decimal, as PostgreSQL prints them.

    A name without a schema means the view, or table, of `schema`. A server that answers nothing, not even that a
    statement took too long, makes it end with TimeoutError; what lasts longer takes a timeout of its own.
    """
    pool: Any = await asyncpg.create_pool(
        url,
        min_size=0,  # with a floor, asyncpg goes on knocking while the server is away, with a traceback each time
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=None if statement_timeout_s is None else statement_timeout_s + COMMAND_GRACE_S,
        init=_plain_reals,
        server_settings=_server_settings(role, application, statement_timeout_s, schema),
    )
    try:
        async with pool.acquire():
            return cast("Pool", pool)
    except BaseException:
        pool.terminate()
        raise


async def _plain_reals(connection: Any) -> None:
    # As binary, 12.1 would arrive as 12.100000381469727: the nearest float64 of the float32.
    await connection.set_type_codec("float4", schema="pg_catalog", encoder=repr, decoder=float, format="text")
