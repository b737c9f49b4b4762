"""Hourly partials kept current: hours that are over are rolled up once, and again where a late row has marked them.

Exact, whatever writers do meanwhile, by three rules. A writer that has written rows reads afterwards how far hours are
*announced*, and marks those of its rows that lie before. Hours are rolled up only when every transaction that may have
read less has ended. Rows, partials and marks are read and written in one snapshot, and of the marks only those seen
in it are taken away. What is marked, or not rolled up yet, is for whoever asks still a matter of raw rows.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from usp.db import LOST, WRITER_ROLE, Connection, connect
from usp.ingest.retention import Retirement
from usp.models import partials
from usp.models.dataset import Dataset
from usp.models.datasets import DATASETS
from usp.models.edges import HOUR, full_hour

log = structlog.get_logger()

#: Who rolls up holds this advisory lock; there is one.
LOCK = 0x757371
#: Hours are announced when they have been over for so long: most rows have come by then, and need no mark.
LAG = timedelta(minutes=10)
#: Rounds begin so far apart, and further if they take long: rolling up takes at most a fifth of a processor's time.
ROUND_S = 5.0
_REST = 4.0
#: Hours of one device taken at a time: a transaction that writes holds back whoever waits for all to have ended.
_DEVICE_HOURS = 2_000
#: Of all devices at most a week, however few they are.
_LONGEST = 168
#: In one round of one dataset; then others have their turn.
_PIECES = 40

_PATIENCE_S = 600.0

# Between the chunks there is nothing to roll up.
_NEXT = """
    SELECT r.announced, (SELECT count(*) FROM usp.{name}_latest) AS devices,
        least(r.announced, greatest(r.rolled, coalesce((
            SELECT min(c.range_start) FROM timescaledb_information.chunks c
            WHERE c.hypertable_schema = 'usp' AND c.hypertable_name = '{name}' AND c.range_end > r.rolled
        ), r.announced))) AS start
    FROM usp.rollup r WHERE r.dataset = $1 AND r.rolled < r.announced
"""

_RULES = """
    SELECT d.id AS device_id, f.max_hold, f.definition -> 'registers' AS registers
    FROM usp.device d JOIN usp.profile f ON f.name = d.profile
"""


@dataclass(frozen=True)
class RollupStatements:
    """What is said to the database about one dataset's partials."""

    dataset: Dataset

    @property
    def whole_hours(self) -> str:
        """Roll up the hours of all devices from $1 until $2."""
        # Rows are found by device and time; by time alone there is no index.
        name = self.dataset.name
        return self._upsert(f"""
            SELECT x.*, date_trunc('hour', x.time, 'UTC') AS slot FROM usp.{name}_latest l
            CROSS JOIN LATERAL (
                SELECT t.*, t.device AS device_id FROM usp.{name} t
                WHERE t.device = l.device AND t.time >= $1 AND t.time < $2 OFFSET 0
            ) x
        """)

    @property
    def marked_hours(self) -> str:
        """Roll up the hours $2 of the devices $1, in pairs."""
        return self._upsert(f"""
            SELECT x.*, k.hour AS slot FROM unnest($1::integer[], $2::timestamptz[]) k (device, hour)
            CROSS JOIN LATERAL (
                SELECT t.*, t.device AS device_id FROM usp.{self.dataset.name} t
                WHERE t.device = k.device AND t.time >= k.hour AND t.time < k.hour + interval '1 hour' OFFSET 0
            ) x
        """)

    def _upsert(self, rows: str) -> str:
        dataset = self.dataset
        ruled = f"SELECT y.*, d.max_hold, d.registers FROM ({rows}) y JOIN ({_RULES}) d USING (device_id)"
        bits = f"array_agg({partials.present(dataset, dataset.properties)}) AS bits"
        columns = [f'"{name}"' for p in dataset.properties for name, _ in partials.columns_of(p)]
        # Most devices measure less than their kind could.
        shown = [f"nullif(s.{c}, 0)" if c.endswith(('_count"', '_flagged"')) else f"s.{c}" for c in columns]
        replaced = ", ".join(f"{c} = excluded.{c}" for c in ("version", "present", "present_count", *columns))
        return f"""
            INSERT INTO usp.{dataset.name}_hourly (hour, device, version, present, present_count, {", ".join(columns)})
            SELECT s.slot, s.device_id, {partials.VERSION}, p.present, p.present_count, {", ".join(shown)}
            FROM ({partials.slots(dataset, dataset.properties, ruled, bits)}) s
            CROSS JOIN LATERAL (
                SELECT coalesce(array_agg(h.m ORDER BY h.m), '{{}}') AS present,
                    coalesce(array_agg(h.n ORDER BY h.m), '{{}}') AS present_count
                FROM (SELECT m, count(*)::integer AS n FROM unnest(s.bits) m WHERE m <> 0 GROUP BY m) h
            ) p
            ON CONFLICT (device, hour) DO UPDATE SET {replaced}
        """


_STATEMENTS = {name: RollupStatements(dataset) for name, dataset in DATASETS.items()}


class Rollup:
    """Runs over a connection of its own, in one of the workers."""

    def __init__(self, database_url: str, retirement: Retirement) -> None:
        self._url = database_url
        self._retirement = retirement

    async def run(self) -> None:
        """Until cancelled; the database may go away meanwhile."""
        while True:
            connection: Connection | None = None
            try:
                connection = await connect(self._url, role=WRITER_ROLE, application="usp-ingest-rollup")
                await self._rounds(connection)
            except LOST as error:
                # Whatever is wrong, readings go on being stored, and are read from the raw rows.
                log.warning("rollup_interrupted", error=str(error) or repr(error))
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(ROUND_S)

    async def _rounds(self, connection: Connection) -> None:
        mine = False
        while True:
            began = asyncio.get_running_loop().time()
            mine = mine or await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
            if mine:
                await roll_up(connection)
            await self._retirement.round(connection, mine=mine)
            await asyncio.sleep(max(ROUND_S, _REST * (asyncio.get_running_loop().time() - began)))


async def roll_up(connection: Connection, until: datetime | None = None) -> int:
    """One round: announce the hours that are over, roll up and repair; returns how many hours of devices.

    `until` goes over the clock. Only one may do this at a time.
    """
    hour = full_hour(datetime.now(UTC) - LAG if until is None else until)
    await connection.execute("UPDATE usp.rollup SET announced = $1 WHERE announced < $1", hour)
    # All who may have read less than is announced now are below this.
    barrier = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    await _mark_what_was_made_otherwise(connection)
    done = 0
    for statements in _STATEMENTS.values():
        for _ in range(_PIECES):
            made = await _piece(connection, statements, barrier)
            if made is None:
                break
            done += made
        for _ in range(_PIECES):
            taken, made = await _repair(connection, statements)
            done += made
            if taken < _DEVICE_HOURS:
                break
    return done


async def _piece(connection: Connection, statements: RollupStatements, barrier: str) -> int | None:
    """Roll up the next hours of one dataset; None where there are none, or somebody may still write into them."""
    name = statements.dataset.name
    async with connection.transaction(isolation="repeatable_read"):
        if not await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8", barrier):
            return None
        found = await connection.fetchrow(_NEXT.format(name=name), name)
        if found is None:
            return None
        start = found["start"]
        hours = min(max(_DEVICE_HOURS // max(found["devices"], 1), 1), _LONGEST)
        end = min(start + hours * HOUR, found["announced"])
        made = "INSERT 0 0"
        if start < end:
            made = await connection.execute(statements.whole_hours, start, end, timeout=_PATIENCE_S)
        await connection.execute("UPDATE usp.rollup SET rolled = $2 WHERE dataset = $1", name, end)
    return int(made.rpartition(" ")[2])


async def _repair(connection: Connection, statements: RollupStatements) -> tuple[int, int]:
    """Make marked hours anew, the oldest marks first; returns how many marks were taken, and hours made."""
    name = statements.dataset.name
    async with connection.transaction(isolation="repeatable_read"):
        # What lies beyond is not rolled up yet, and what is gone from the raw rows stays as it was made.
        marks = await connection.fetch(
            "SELECT m.id, m.device, m.hour, m.hour < r.rolled AND m.hour >= r.raw_from AS counts "
            "FROM usp.rollup_mark m JOIN usp.rollup r USING (dataset) WHERE m.dataset = $1 ORDER BY m.id LIMIT $2",
            name,
            _DEVICE_HOURS,
        )
        if not marks:
            return 0, 0
        hours = sorted({(m["device"], m["hour"]) for m in marks if m["counts"]})
        made = "INSERT 0 0"
        if hours:
            devices, times = zip(*hours, strict=True)
            made = await connection.execute(statements.marked_hours, devices, times, timeout=_PATIENCE_S)
        await connection.execute("DELETE FROM usp.rollup_mark WHERE id = ANY($1::bigint[])", [m["id"] for m in marks])
    return len(marks), int(made.rpartition(" ")[2])


async def _mark_what_was_made_otherwise(connection: Connection) -> None:
    """Mark the hours of devices whose profile's rules have changed since, and all where ours have."""
    async with connection.transaction():
        changed = await connection.fetch(f"""
            INSERT INTO usp.rollup_rules AS r (device, rules)
            SELECT device_id, concat_ws(' ', max_hold, registers) FROM ({_RULES}) d
            WHERE NOT EXISTS (SELECT FROM usp.rollup_rules s
                WHERE s.device = d.device_id AND s.rules = concat_ws(' ', d.max_hold, d.registers))
            ON CONFLICT (device) DO UPDATE SET rules = excluded.rules RETURNING device
        """)
        for name in DATASETS if changed else ():
            await _mark(connection, name, "h.device = ANY($2::integer[])", [row["device"] for row in changed])
    async with connection.transaction():
        stale = await connection.fetch(
            "UPDATE usp.rollup SET version = $1 WHERE version <> $1 RETURNING dataset", partials.VERSION
        )
        for (name,) in stale:
            await _mark(connection, name, "h.version <> $2", partials.VERSION)


async def _mark(connection: Connection, name: str, condition: str, *values: object) -> None:
    await connection.execute(
        f"INSERT INTO usp.rollup_mark (dataset, device, hour) SELECT $1, h.device, h.hour FROM usp.{name}_hourly h "
        f"JOIN usp.rollup r ON r.dataset = $1 WHERE h.hour >= r.raw_from AND {condition}",
        name,
        *values,
    )
