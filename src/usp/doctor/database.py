"""What the doctor asks of a database server. It reads; each check is a transaction that may not write."""

import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from usp.db import LOST, WRITER_ROLE, Connection
from usp.doctor import schema
from usp.doctor.findings import Check, Finding, Patience, Report, fail, ok, plain, warn
from usp.models.profile import DeviceProfile

CONNECT_S = 5.0
CHECK_S = 4.0
#: As server settings: a check must not outlive the doctor, nor queue up behind a migration and hold others up.
_LIMITS = {"statement_timeout": "3000", "lock_timeout": "1000", "timezone": "UTC", "jit": "off"}

#: The first that has everything our statements use, and is still mended by its makers.
POSTGRES = 14
#: The first with `by_range`, which the first migration calls.
TIMESCALE = (2, 13)
TRIPS = 7
SKEW_WARN_S = 1.0
SKEW_FAIL_S = 60.0
#: A worker takes two connections, an API process up to thirty, and somebody has to be able to look.
FEW_CONNECTIONS = 20
OLD_MINUTES = 10
LITTLE_DISK = 5_000_000_000
NO_DISK = 500_000_000

#: SQLSTATE -> what to do when no connection comes about.
_ADVICE = {
    "28": "Check user and password in USP_DATABASE_URL, and the server's pg_hba.conf.",
    "3D": "Create the database, or mend its name in USP_DATABASE_URL.",
    "53": "Raise max_connections or the limit of the account, or end what holds so many connections.",
    "57": "Wait until the server has started; look into its log if that takes long.",
}
_NO_SERVER = "Start the database, or mend USP_DATABASE_URL (host, port)."


async def examine(url: str, area: str, profiles: Mapping[str, DeviceProfile] | None, patience: Patience) -> list[Check]:
    """Every check of the database and of what the platform keeps there."""
    report = Report(area)
    try:
        connection = await _connect(url, patience)
        user = await connection.fetchval("SELECT current_user")
    except Exception as error:  # noqa: BLE001 - whatever keeps us from it is a finding
        report.add("reachable", fail(f"{place(url)} cannot be reached: {plain(error)}", _advice(error)))
        return report.checks
    report.add("reachable", ok(f"{place(url)} as {user}."))
    checks = SERVER | {name: _as_writer(check) for name, check in schema.checks(profiles).items()}
    try:
        for name, check in checks.items():
            if connection.is_closed():
                connection = await _connect(url, patience)
            seconds = patience.left(CHECK_S)
            await report.wait(name, _reading(connection, check), seconds, connection.terminate)
            if name == "migrations" and not (connection.is_closed() or await schema.exists(connection)):
                break
    except Exception as error:  # noqa: BLE001 - the server went while it was asked
        report.add("connection", fail(f"It was lost: {plain(error)}", "Look into the server's log."))
    finally:
        with suppress(*LOST):
            await connection.close(timeout=1)
    return report.checks


def place(url: str) -> str:
    """Where a database is, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


async def _connect(url: str, patience: Patience) -> Connection:
    return await asyncpg.connect(
        url,
        timeout=patience.left(CONNECT_S),
        command_timeout=CHECK_S,
        server_settings=_LIMITS | {"application_name": "usp-doctor"},
    )


def _advice(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None) or ""
    return _ADVICE.get(state[:2], _NO_SERVER)


Query = Callable[[Connection], Awaitable[Finding]]


async def _reading(connection: Connection, check: Query) -> Finding:
    async with connection.transaction(readonly=True):
        return await check(connection)


def _as_writer(check: Query) -> Query:
    """With ingest's rights, where the account may take them: a table's owner need not be who asks."""

    async def run(connection: Connection) -> Finding:
        with suppress(asyncpg.PostgresError):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {WRITER_ROLE}")
        return await check(connection)

    return run


async def writable(connection: Connection) -> Finding:
    """It is the server that takes writes, and not a copy of it."""
    # What a transaction of ours would be if it did not say that it only reads.
    usual = "SELECT reset_val::bool FROM pg_settings WHERE name = 'default_transaction_read_only'"
    read_only = await connection.fetchval(usual)
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        return fail("This is a standby: it takes no writes.", "Give the primary's address in USP_DATABASE_URL.")
    if read_only:
        return fail("default_transaction_read_only is on.", "Set it off for this account and database.")
    return ok("It takes writes.")


async def postgresql(connection: Connection) -> Finding:
    """Its version."""
    version = connection.get_server_version()
    found = f"PostgreSQL {await connection.fetchval('SHOW server_version')}."
    if version.major < POSTGRES:
        return fail(found, f"Update the server: PostgreSQL {POSTGRES} or later is needed.")
    return ok(found)


async def timescale(connection: Connection) -> Finding:
    """Version and edition of the extension, and whether a restore was brought to its end."""
    row = await connection.fetchrow(
        "SELECT installed_version, default_version, current_setting('timescaledb.license', true) AS license, "
        "current_setting('timescaledb.restoring', true) AS restoring "
        "FROM pg_available_extensions WHERE name = 'timescaledb'"
    )
    if row is None:
        return fail("The server has no TimescaleDB.", "Install it and add timescaledb to shared_preload_libraries.")
    installed, offered, licence, restoring = row
    if installed is None:
        return fail(f"TimescaleDB {offered} is offered, but not in this database.", "Run `usp migrate`.")
    edition = {"apache": "Apache", "timescale": "Community"}.get(licence, licence or "unknown")
    found = f"TimescaleDB {installed}, {edition} edition."
    needed = ".".join(map(str, TIMESCALE))
    if tuple(int(part) for part in installed.split("-")[0].split(".")[:2]) < TIMESCALE:
        return fail(found, f"Update it: TimescaleDB {needed} or later is needed.")
    if restoring == "on":
        return fail(f"{found} A restore has not been ended.", "Run SELECT timescaledb_post_restore().")
    if installed != offered:
        advice = "Run ALTER EXTENSION timescaledb UPDATE as the first statement of a new connection."
        return warn(f"{found} The server has {offered}.", advice)
    return ok(found)


async def clock(connection: Connection) -> Finding:
    """The server's clock against that of this machine, where ingest's is the one that counts."""
    offsets, trips = [], []
    for _ in range(TRIPS):
        begun, asked = time.perf_counter(), datetime.now(UTC)
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        trips.append(time.perf_counter() - begun)
        offsets.append((theirs - asked).total_seconds() - trips[-1] / 2)
    return judge_clock(statistics.median(offsets), statistics.median(trips))


def judge_clock(offset: float, trip: float) -> Finding:
    """What a difference means; it is known to half a round trip."""
    ahead = "ahead of" if offset > 0 else "behind"
    known = f"known to {trip / 2 * 1000:.1f} ms"
    found = f"The database's clock is {abs(offset):.3f} s {ahead} this machine's ({known})."
    advice = "Let both machines keep time by NTP: times of arrival and workers' signs of life depend on it."
    if abs(offset) > SKEW_FAIL_S:
        return fail(found, advice)
    return warn(found, advice) if abs(offset) - trip / 2 > SKEW_WARN_S else ok(found)


async def connections(connection: Connection) -> Finding:
    """How many may still be opened, under the narrowest of the limits."""
    (row,) = await connection.fetch(
        """
        WITH open AS (SELECT datname, usename FROM pg_stat_activity WHERE backend_type = 'client backend')
        SELECT current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int AS server,
            (SELECT count(*) FROM open) AS used,
            (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
                - (SELECT count(*) FROM open WHERE datname = current_database()) AS database_left,
            (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user)
                - (SELECT count(*) FROM open WHERE usename = session_user) AS account_left
        """
    )
    left = {
        "of the server (max_connections)": row["server"] - row["used"],
        "of this database (CONNECTION LIMIT)": row["database_left"],
        "of this account (CONNECTION LIMIT)": row["account_left"],
    }
    count, what = min((count, what) for what, count in left.items() if count is not None)
    found = f"{count} left {what}; {row['used']} open."
    if count < FEW_CONNECTIONS:
        return warn(found, f"Raise the limit: a worker takes 2, an API process up to 30, so keep {FEW_CONNECTIONS}.")
    return ok(found)


#: Setting -> the value that loses what was acknowledged, or more, and how bad that is.
_DANGEROUS: dict[str, Callable[[str, str], Finding]] = {
    "fsync": fail,
    "synchronous_commit": fail,
    "full_page_writes": warn,
}


async def durability(connection: Connection) -> Finding:
    """What is committed survives a power cut; the platform acknowledges messages when they are committed."""
    rows = await connection.fetch(
        "SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name", list(_DANGEROUS)
    )
    found = ", ".join(f"{row['name']} {row['setting']}" for row in rows) + "."
    off = [row["name"] for row in rows if row["setting"] == "off"]
    if not off:
        return ok(found)
    say = fail if any(_DANGEROUS[name] is fail for name in off) else warn
    return say(
        f"{found} Readings that have been acknowledged can be lost or damaged at a power cut.",
        f"Set {' and '.join(off)} on (postgresql.conf, ALTER DATABASE or ALTER ROLE).",
    )


async def old_transactions(connection: Connection) -> Finding:
    """Nothing keeps the server from clearing away, or its log from being thrown away."""
    rows = await connection.fetch(
        """
        SELECT 'process ' || pid || ' (' || coalesce(nullif(application_name, ''), usename) || ', ' || state || ')',
            now() - xact_start
        FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND xact_start < now() - $1::int * interval '1 minute'
        UNION ALL
        SELECT 'prepared transaction ' || gid, now() - prepared FROM pg_prepared_xacts
        WHERE prepared < now() - $1::int * interval '1 minute'
        UNION ALL
        SELECT 'unused replication slot ' || slot_name, NULL FROM pg_replication_slots WHERE NOT active
        ORDER BY 2 DESC NULLS LAST
        """,
        OLD_MINUTES,
    )
    if not rows:
        return ok(f"No transaction is older than {OLD_MINUTES} minutes, and no replication slot is unused.")
    shown = [what if age is None else f"{what} since {schema.span(age.total_seconds())}" for what, age in rows[:3]]
    more = f", and {len(rows) - 3} more" if len(rows) > 3 else ""
    return warn(
        f"{', '.join(shown)}{more}.".capitalize(),
        "End them (pg_terminate_backend, ROLLBACK PREPARED, pg_drop_replication_slot) unless they are a backup's: "
        "the database only grows meanwhile.",
    )


async def disk(connection: Connection) -> Finding:
    """What the database takes, and what is free where that can be seen from here."""
    ((size, folder, host),) = await connection.fetch(
        "SELECT pg_database_size(current_database()), "
        "(SELECT setting FROM pg_settings WHERE name = 'data_directory'), host(inet_server_addr())"
    )
    found = f"The database takes {size / 1e6:,.0f} MB"
    if folder and host and ip_address(host).is_loopback:
        with suppress(OSError):
            free = shutil.disk_usage(Path(folder)).free
            found = f"{found}; {free / 1e9:,.1f} GB are free"
            advice = "Make room: a database whose disk is full takes nothing more."
            if free < LITTLE_DISK:
                return (fail if free < NO_DISK else warn)(f"{found}.", advice)
            return ok(f"{found}.")
    return ok(f"{found}; what is free cannot be seen from here.")


SERVER: dict[str, Query] = {
    "writable": writable,
    "PostgreSQL": postgresql,
    "TimescaleDB": timescale,
    "clock": clock,
    "connections": connections,
    "durability": durability,
    "old transactions": old_transactions,
    "disk": disk,
}
