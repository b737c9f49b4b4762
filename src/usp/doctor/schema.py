"""What the doctor asks of the platform's own tables: schema, rights, workers and what was refused."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from alembic.script import ScriptDirectory

from usp.db import Connection
from usp.doctor.findings import Finding, fail, ok, warn
from usp.ingest.session import SLOT_LOCKS, SLOTS
from usp.migrate import alembic_config
from usp.models.datasets import DATASETS
from usp.models.profile import DeviceProfile
from usp.models.reasons import Reason
from usp.models.tables import DEAD_AFTER_S, READERS, SCHEMA, WRITER

Query = Callable[[Connection], Awaitable[Finding]]

#: Reasons that speak of the platform and not of what was sent.
_OURS = [Reason.REFUSED_BY_DATABASE, Reason.INTERNAL_ERROR]
#: More than this is counted as "at least".
_MOST = 100_000
#: A device's clock that is so far ahead is wrong, and not just a little fast.
AHEAD_S = 60.0


def checks(profiles: Mapping[str, DeviceProfile] | None) -> dict[str, Query]:
    """Name -> check; `profiles` are those that are loaded here, if they are."""
    found: dict[str, Query] = {
        "migrations": migrations,
        "rights": rights,
        "retention": retention,
        "workers": workers,
        "slots": slots,
        "rejections": rejections,
        "device clocks": device_clocks,
    }
    if profiles is not None:
        found["profiles"] = partial(used_profiles, loaded=profiles)
    return found


def span(seconds: float) -> str:
    """A duration in the unit that people would use."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


async def exists(connection: Connection, table: str = "worker") -> bool:
    """Whether a table of ours is there, also for an account that may not look into it."""
    query = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND relnamespace = to_regnamespace($2))"
    return bool(await connection.fetchval(query, table, SCHEMA))


async def migrations(connection: Connection) -> Finding:
    """The database's revision is the newest one that this program knows."""
    script = ScriptDirectory.from_config(alembic_config(""))
    known = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    if not await exists(connection, "alembic_version"):
        return judge_revision(None, known)
    return judge_revision(await connection.fetchval("SELECT version_num FROM usp.alembic_version"), known)


def judge_revision(found: str | None, known: list[str]) -> Finding:
    """Compare a revision with those that are known, oldest first."""
    if found is None:
        return fail("The database is empty: no migration has been made.", "Run `usp migrate`.")
    if found not in known:
        return fail(
            f"The database is at revision {found}, which this program does not know; its own is {known[-1]}.",
            "Update the program: the database has been migrated by a newer one.",
        )
    pending = known[known.index(found) + 1 :]
    if pending:
        return fail(
            f"The database is at revision {found}; to be made: {', '.join(pending)}.",
            "Stop ingest and API, run `usp migrate`, and start them again.",
        )
    return ok(f"Revision {found}, the newest.")


_ROLES = """
    SELECT r.role, p.oid IS NULL AS missing, coalesce(pg_has_role(p.oid,
        CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END), false) AS ours
    FROM unnest($1::text[]) AS r(role) LEFT JOIN pg_roles p ON p.rolname = r.role
"""
# What a role can read beyond the views of its own schema; chunks are tables of their own.
_TOO_MUCH = """
    WITH ours AS (
        SELECT c.oid, n.nspname AS schema, n.nspname || '.' || c.relname AS name, n.oid AS schema_oid FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'm', 'p') AND (n.nspname = ANY($3) OR EXISTS (
            SELECT FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhparent
            JOIN pg_namespace s ON s.oid = t.relnamespace WHERE i.inhrelid = c.oid AND s.nspname = ANY($3)))
    )
    SELECT r.role, min(o.name) AS example, count(*) AS count FROM unnest($1::text[], $2::text[]) AS r(role, own)
    JOIN ours o ON o.schema <> r.own
    WHERE has_schema_privilege(r.role, o.schema_oid, 'USAGE') AND has_any_column_privilege(r.role, o.oid, 'SELECT')
    GROUP BY 1 ORDER BY 1
"""
_TOO_LITTLE = """
    SELECT r.role, min(n.nspname || '.' || c.relname) AS example, count(*) AS count
    FROM unnest($1::text[], $2::text[], $3::text[]) AS r(role, own, needed)
    JOIN pg_namespace n ON n.nspname = r.own
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'p')
    CROSS JOIN LATERAL unnest(string_to_array(r.needed, ',')) AS p(privilege)
    WHERE NOT (has_schema_privilege(r.role, n.oid, 'USAGE') AND has_table_privilege(r.role, c.oid, p.privilege))
    GROUP BY 1 ORDER BY 1
"""


async def rights(connection: Connection) -> Finding:
    """The roles are there, may do what they have to, and readers nothing beyond their own views."""
    # As the account itself: it has to be able to become each of them.
    await connection.execute("RESET ROLE")
    readers = {role: name for name, (role, _) in READERS.items()}
    names = [WRITER, *readers]
    roles = await connection.fetch(_ROLES, names)
    if missing := [r["role"] for r in roles if r["missing"]]:
        return fail(f"Missing: {', '.join(missing)}.", "Run `usp migrate`, or let an administrator make the roles.")
    if foreign := [r["role"] for r in roles if not r["ours"]]:
        return fail(
            f"This account may not become {', '.join(foreign)}.",
            f"Let an administrator GRANT {', '.join(foreign)} TO this account.",
        )
    schemas = [SCHEMA, *readers.values()]
    too_much = await connection.fetch(_TOO_MUCH, list(readers), list(readers.values()), schemas)
    if too_much:
        listed = ", ".join(f"{r['role']}: {r['example']}, {r['count']} in all" for r in too_much)
        return fail(
            f"Roles that may read what they should not ({listed}).",
            "REVOKE what was granted beyond the migrations: what is restricted can leave through the open data.",
        )
    needed = ["SELECT,INSERT,UPDATE,DELETE", *("SELECT" for _ in readers)]
    too_little = await connection.fetch(_TOO_LITTLE, names, [SCHEMA, *readers.values()], needed)
    if too_little:
        listed = ", ".join(f"{r['role']} at {r['example']}" for r in too_little)
        return fail(f"Rights are missing ({listed}).", "GRANT them as the migrations do, as the tables' owner.")
    if not await connection.fetchval("SELECT has_database_privilege($1, current_database(), 'TEMPORARY')", WRITER):
        return fail(f"{WRITER} may make no temporary tables.", f"GRANT TEMPORARY ON this database TO {WRITER}.")
    return ok(f"{', '.join(names)} are there; readers see their own views and nothing else.")


_NOT_OURS = """
    SELECT session_user AS account, pg_get_userbyid(t.relowner) AS owner FROM pg_class t
    WHERE t.relnamespace = to_regnamespace($1) AND t.relname = ANY($2)
        AND NOT pg_has_role(session_user, t.relowner, 'USAGE') LIMIT 1
"""


async def retention(connection: Connection) -> Finding:
    """This account may drop raw readings that USP_RETENTION lets go."""
    for account, owner in await connection.fetch(_NOT_OURS, SCHEMA, list(DATASETS)):
        return warn(
            f"The tables belong to {owner}; {account} cannot drop raw readings that are older than USP_RETENTION.",
            f"GRANT {owner} TO {account}, or run `usp retention --apply` as {owner} from time to time.",
        )
    return ok("This account owns the tables, and may drop raw readings that are older than USP_RETENTION.")


_WORKERS = """
    SELECT slot, host, pid, connected, in_flight, extract(epoch FROM now() - heartbeat_at)::float8 AS silent
    FROM usp.worker ORDER BY slot
"""


async def workers(connection: Connection) -> Finding:
    """Ingest runs, and no broker keeps messages for a worker that is dead."""
    return judge_workers([dict(row) for row in await connection.fetch(_WORKERS)])


def judge_workers(rows: list[dict[str, Any]]) -> Finding:
    """Living and dead, as their rows tell."""
    alive = [r for r in rows if r["silent"] < DEAD_AFTER_S]
    dead = [r for r in rows if r["silent"] >= DEAD_AFTER_S]
    if dead:
        listed = "; ".join(
            f"slot {r['slot']} ({r['host']}, process {r['pid']}) was last heard of {span(r['silent'])} ago"
            for r in dead
        )
        queues = ", ".join(f"usp-ingest-{r['slot']}" for r in dead)
        advice = (
            "A living worker empties that queue within some fifteen seconds; if it does not, look into its log."
            if alive
            else "Start `usp ingest`: it empties that queue and takes the slot."
        )
        return warn(f"{listed[:1].upper()}{listed[1:]}. What the broker keeps for {queues} waits.", advice)
    if not alive:
        return warn("No ingest worker runs: what is sent waits at the broker.", "Start `usp ingest`.")
    cut_off = [r["slot"] for r in alive if not r["connected"]]
    if cut_off:
        slots_ = ", ".join(map(str, cut_off))
        return warn(f"Slot {slots_} is not connected to every broker.", "Look into the worker's log.")
    return ok(f"{len(alive)} running and connected; {sum(r['in_flight'] for r in alive):,} messages in flight.")


_SLOTS = """
    SELECT l.objid::bigint AS slot, l.pid, w.pid IS NOT NULL AS known,
        coalesce(w.heartbeat_at > now() - $2::float8 * interval '1 second', false) AS alive
    FROM pg_locks l LEFT JOIN usp.worker w ON w.slot = l.objid::bigint
    WHERE l.locktype = 'advisory' AND l.classid = $1::bigint::oid AND l.objsubid = 2 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1
"""
_LIVING = "SELECT slot FROM usp.worker WHERE heartbeat_at > now() - $1::float8 * interval '1 second' ORDER BY slot"


async def slots(connection: Connection) -> Finding:
    """Each living worker holds the lock of its slot, and nobody else holds one."""
    # Others of the same kind belong to commands that end by themselves.
    held = [r for r in await connection.fetch(_SLOTS, SLOT_LOCKS, DEAD_AFTER_S) if r["slot"] in SLOTS]
    living = [slot for (slot,) in await connection.fetch(_LIVING, DEAD_AFTER_S)]
    stuck = [r for r in held if not r["alive"]]
    if stuck:
        listed = ", ".join(f"{r['slot']} by process {r['pid']} of the database" for r in stuck)
        pids = ", ".join(f"SELECT pg_terminate_backend({r['pid']})" for r in stuck)
        return warn(
            f"Held without a sign of life from a worker: {listed}.",
            f"If this stays so for a minute, end the connection ({pids}): nobody else can take the slot.",
        )
    if free := [slot for slot in living if slot not in {r["slot"] for r in held}]:
        return warn(
            f"Workers that live without the lock of their slot: {', '.join(map(str, free))}.",
            "Connect ingest directly, or through a pooler in session mode; it takes the lock again by itself.",
        )
    return ok(f"{len(held)} held, each by a living worker." if held else "None is held.")


_REJECTIONS = f"""
    SELECT reason, count(*) AS count FROM (
        SELECT reason FROM usp.rejection WHERE resolved_at IS NULL ORDER BY received_at DESC LIMIT {_MOST}
    ) r GROUP BY 1 ORDER BY 2 DESC, 1
"""
_OURS_NEW = """
    SELECT count(*) FROM usp.rejection
    WHERE resolved_at IS NULL AND received_at > now() - interval '1 day' AND reason = ANY($1)
"""


async def rejections(connection: Connection) -> Finding:
    """What was refused and waits for somebody to look; what the platform itself has failed at stands out."""
    rows = await connection.fetch(_REJECTIONS)
    count = sum(row["count"] for row in rows)
    if not count:
        return ok("None waits.")
    listed = ", ".join(f"{row['reason']} {row['count']:,}" for row in rows[:4])
    found = f"{'At least ' if count >= _MOST else ''}{count:,} wait ({listed}{', …' if len(rows) > 4 else ''})."
    ours = await connection.fetchval(_OURS_NEW, _OURS)
    if ours:
        return warn(
            f"{found} {ours:,} of the last day are not the senders' fault ({' or '.join(_OURS)}).",
            "Look at `detail` in usp.rejection (docs/operations.md).",
        )
    return ok(found)


def _ahead(dataset: str) -> str:
    columns = ", ".join(f'l."{p.name}_time"' for p in DATASETS[dataset].properties)
    return f"SELECT l.device, greatest({columns}) - l.received_at AS ahead FROM usp.{dataset}_latest l"


_CLOCKS = f"""
    SELECT d.name, extract(epoch FROM max(a.ahead))::float8 AS ahead
    FROM ({" UNION ALL ".join(map(_ahead, DATASETS))}) a
    JOIN usp.device d ON d.id = a.device WHERE a.ahead > interval '2 seconds' GROUP BY 1 ORDER BY 2 DESC
"""


async def device_clocks(connection: Connection) -> Finding:
    """No reading was measured after it arrived."""
    rows = await connection.fetch(_CLOCKS)
    if not rows:
        return ok("No device's newest reading was measured after it arrived.")
    name, ahead = rows[0]
    found = f"Measured after arrival: the newest readings of {len(rows):,} devices, {name} by {ahead:.0f} s."
    if ahead > AHEAD_S:
        advice = "Set the clocks of these devices or gateways, and this machine's by NTP; beyond 5 minutes is refused."
        return warn(found, advice)
    return ok(found)


async def used_profiles(connection: Connection, loaded: Mapping[str, DeviceProfile]) -> Finding:
    """Every device's profile is loaded."""
    rows = await connection.fetch(
        "SELECT profile, count(*) AS count FROM usp.device "
        "WHERE coalesce(retired_at > now(), true) AND profile <> ALL($1) GROUP BY 1 ORDER BY 1",
        list(loaded),
    )
    if rows:
        listed = ", ".join(f"{row['profile']} ({row['count']:,} devices)" for row in rows)
        return warn(f"Devices name profiles that are not loaded here: {listed}.", "Put them into USP_PROFILES_DIR.")
    count = await connection.fetchval("SELECT count(*) FROM usp.device WHERE coalesce(retired_at > now(), true)")
    return ok(f"{count:,} devices, whose profiles are all loaded.")
