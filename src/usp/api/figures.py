"""The platform's figures as the database has them: they survive restarts and add up over all workers."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from usp.api.database import Database
from usp.api.selection import identifier
from usp.db import Connection
from usp.errors import DatabaseUnavailable
from usp.models.dataset import VISIBILITY_ORDER, Dataset, Visibility
from usp.models.datasets import DATASETS
from usp.models.tables import DEAD_AFTER_S

#: asyncpg's records are mappings in all but name.
Row = Any

#: For so long figures are shown again as they are: many who ask are one question to the database.
KEEP_S = 1.0
#: Names of silent devices shown at most; the counts are of all.
MOST_NAMES = 1_000
#: Spans over which rates are formed: name -> minutes.
SPANS = {"1m": 1, "5m": 5, "60m": 60}

#: A device counts as reporting for so many of its intervals after its newest value, and at least for a minute.
INTERVALS = 3
LEAST_S = 60

_TOTALS = """
    SELECT door, kind, dataset, what, reason, sum(count)::bigint AS count FROM usp.ingest_total GROUP BY 1, 2, 3, 4, 5
"""

# The oldest minute counts as far as it still lies within the span.
_RATES = """
    SELECT m.n, t.kind, t.dataset, t.what, sum(t.count * least(1, greatest(0,
        extract(epoch FROM t.minute + interval '1 minute' - (now() - m.n * interval '1 minute')) / 60
    )))::float8 / (m.n * 60) AS rate
    FROM unnest($1::int[]) AS m(n)
    JOIN usp.ingest_minute t ON t.minute > now() - (m.n + 1) * interval '1 minute'
    WHERE t.what IN ('received', 'rows') GROUP BY 1, 2, 3, 4
"""

_DELAYS = """
    SELECT dataset, reason::float8 AS bound, sum(count)::bigint AS count FROM usp.ingest_minute
    WHERE what = 'delay' AND minute > now() - interval '1 hour' GROUP BY 1, 2 ORDER BY 1, 2
"""

# Up to when hours are rolled up; what an import has marked may be much, and is not counted to its end.
ROLLUP = """
    SELECT r.dataset, r.rolled, (SELECT count(*) FROM (
        SELECT FROM usp.rollup_mark m WHERE m.dataset = r.dataset LIMIT 100000
    ) m) AS marks FROM usp.rollup r
"""

_WORKERS = """
    SELECT slot, started_at, heartbeat_at, in_flight, connected,
        heartbeat_at > now() - $1::float8 * interval '1 second' AS alive
    FROM usp.worker ORDER BY slot
"""


def _newest(dataset: Dataset) -> str:
    """Each device's newest value of a dataset, as each visibility sees it."""
    seen = [", ".join(identifier(f"{p.name}_time") for p in dataset.visible(v)) for v in VISIBILITY_ORDER]
    times = [f"greatest({columns})" if columns else "NULL::timestamptz" for columns in seen]
    return f"SELECT device, '{dataset.name}' AS dataset, {', '.join(times)} FROM usp.{dataset.name}_latest"


_NEWEST = f"({' UNION ALL '.join(map(_newest, DATASETS.values()))}) n (device, dataset, open, restricted, ops)"


def _sees(seen: Visibility) -> str:
    """The devices that a visibility sees."""
    visible = ", ".join(f"'{v}'" for v in VISIBILITY_ORDER[: VISIBILITY_ORDER.index(seen) + 1])
    return f"visibility IN ({visible})"


def _last_event(seen: Visibility) -> str:
    return f"max(n.{seen}) FILTER (WHERE d.{_sees(seen)}) AS {seen}"


def _device_counts(seen: Visibility) -> str:
    return (
        f"count(*) FILTER (WHERE {_sees(seen)}) AS expected_{seen}, "
        f"count(*) FILTER (WHERE reporting AND {_sees(seen)}) AS reporting_{seen}"
    )


_LAST_EVENTS = f"""
    SELECT d.kind, n.dataset, {", ".join(map(_last_event, VISIBILITY_ORDER))}
    FROM {_NEWEST} JOIN usp.device d ON d.id = n.device GROUP BY 1, 2
"""

# How the device's radio and battery do is not what it was put there for.
HEARD = f"""
    WITH heard AS (
        SELECT d.id, d.name, d.title, d.kind, d.visibility, f.interval, m.time,
            coalesce(m.time > now() - interval '1 second' * CASE WHEN f.interval IS NULL THEN f.max_hold
                ELSE greatest({INTERVALS} * f.interval, {LEAST_S}) END, false) AS reporting
        FROM usp.device d JOIN usp.profile f ON f.name = d.profile
        LEFT JOIN (SELECT n.device, max(n.ops) AS time FROM {_NEWEST} WHERE n.dataset <> 'device_health' GROUP BY 1) m
            ON m.device = d.id
        WHERE coalesce(d.retired_at > now(), true)
            -- What only holds others together, as a station its connectors, has nothing to report.
            AND (m.time IS NOT NULL OR NOT EXISTS (SELECT FROM usp.device c WHERE c.parent = d.id))
    )
"""
_DEVICES = f"{HEARD} SELECT kind, {', '.join(map(_device_counts, VISIBILITY_ORDER))} FROM heard GROUP BY 1"
# Those that fell silent last come first: they are news.
_SILENT = f"""
    {HEARD} SELECT name AS device, kind, time AS last_time FROM heard WHERE NOT reporting
    ORDER BY time DESC NULLS LAST, name LIMIT {MOST_NAMES}
"""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one snapshot of the database says of the platform; what devices do, as each visibility sees it."""

    #: door, kind, dataset, what, reason, count: since ever
    totals: list[Row]
    #: n (minutes), kind, dataset, what, rate: a second
    rates: list[Row]
    #: dataset, bound, count: in the last hour
    delays: list[Row]
    #: slot, started_at, heartbeat_at, in_flight, connected, alive
    workers: list[Row]
    #: kind, dataset, and the newest event as each visibility sees it
    last_events: list[Row]
    #: kind, and as each visibility sees it: expected_…, reporting_…
    devices: list[Row]
    #: device, kind, last_time: for operators only
    silent: list[Row]
    #: dataset, rolled, marks: the latter for operators only
    rollup: list[Row]

    @property
    def in_flight(self) -> int:
        """Items that workers have taken from the broker and not yet committed."""
        return sum(worker["in_flight"] for worker in self.workers if worker["alive"])


class FigureBoard:
    """The figures, read anew when they are a second old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading = asyncio.Lock()
        self._read: tuple[float, Figures] | None = None
        self._failed_at = float("-inf")

    async def figures(self) -> Figures:
        """All figures, of one snapshot, so that they add up."""
        async with self._reading:
            if self._read is not None and time.monotonic() - self._read[0] < KEEP_S:
                return self._read[1]
            if time.monotonic() - self._failed_at < KEEP_S:
                raise DatabaseUnavailable
            try:
                async with (
                    self._database.soon() as connection,
                    connection.transaction(isolation="repeatable_read", readonly=True),
                ):
                    figures = await _figures(connection)
            except DatabaseUnavailable:
                # Who has waited for this attempt need not wait for another.
                self._failed_at = time.monotonic()
                raise
            self._read = (time.monotonic(), figures)
            return figures


async def _figures(connection: Connection) -> Figures:
    return Figures(
        totals=await connection.fetch(_TOTALS),
        rates=await connection.fetch(_RATES, list(SPANS.values())),
        delays=await connection.fetch(_DELAYS),
        workers=await connection.fetch(_WORKERS, DEAD_AFTER_S),
        last_events=await connection.fetch(_LAST_EVENTS),
        devices=await connection.fetch(_DEVICES),
        silent=await connection.fetch(_SILENT),
        rollup=await connection.fetch(ROLLUP),
    )
