"""What came in, what became of it, who is silent and how late the data is: counted over all workers."""

from collections.abc import Iterable
from typing import Any

from usp.api.database import Database
from usp.api.selection import identifier
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.device import KINDS

Document = dict[str, Any]
#: asyncpg's records are mappings in all but name.
Row = Any

#: What is counted of items -> the name under which it is shown.
_ITEM_COUNTS = {
    "received": "received",
    "stored": "stored",
    "duplicate": "duplicate",
    "rejected": "rejected",
    "event": "events",
    "value_refused": "values_refused",
}
_BY_REASON = {
    "rejected": "rejected_by_reason",
    "value_refused": "values_refused_by_reason",
    "event": "events_by_kind",
}
_RATES = {"1m": 1, "5m": 5, "60m": 60}

#: Where the buckets begin in which ingest counts delays, in seconds.
DELAY_EDGES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

#: A device counts as reporting for so many of its intervals after its newest value, and at least for a minute.
_INTERVALS = 3
_LEAST_S = 60

_SHOWN = tuple(d for d in DATASETS.values() if d.visible(Visibility.OPEN))

_TOTALS = "SELECT kind, dataset, what, reason, sum(count)::bigint AS count FROM usp.ingest_total GROUP BY 1, 2, 3, 4"

# The oldest minute counts as far as it still lies within the span.
_MINUTES = """
    SELECT m.n, sum(t.count * least(1, greatest(0,
        extract(epoch FROM t.minute + interval '1 minute' - (now() - m.n * interval '1 minute')) / 60
    )))::float8 / (m.n * 60) AS rate
    FROM unnest($1::int[]) AS m(n)
    JOIN usp.ingest_minute t ON t.minute > now() - (m.n + 1) * interval '1 minute'
    WHERE t.what = 'received' GROUP BY m.n
"""

_DELAYS = """
    SELECT dataset, reason::float8 AS bound, sum(count)::bigint AS count FROM usp.ingest_minute
    WHERE what = 'delay' AND minute > now() - interval '1 hour' GROUP BY 1, 2 ORDER BY 1, 2
"""

_WORKERS = """
    SELECT slot, started_at, heartbeat_at, in_flight, connected,
        heartbeat_at > now() - $1::float8 * interval '1 second' AS alive
    FROM usp.worker ORDER BY slot
"""


def _newest(name: str) -> str:
    times = ", ".join(identifier(f"{p.name}_time") for p in DATASETS[name].properties)
    return f"SELECT device, '{name}' AS dataset, greatest({times}) AS time FROM usp.{name}_latest"


_ALL_NEWEST = " UNION ALL ".join(_newest(d.name) for d in _SHOWN)

_LAST_EVENTS = f"SELECT dataset, max(time) AS last_event FROM ({_ALL_NEWEST}) n GROUP BY 1"

_DEVICES = f"""
    SELECT d.kind, count(*) AS expected, count(*) FILTER (WHERE n.time > now() - interval '1 second'
        * CASE WHEN f.interval IS NULL THEN f.max_hold ELSE greatest({_INTERVALS} * f.interval, {_LEAST_S}) END
    ) AS reporting
    FROM usp.device d JOIN usp.profile f ON f.name = d.profile
    LEFT JOIN (SELECT device, max(time) AS time FROM ({_ALL_NEWEST}) a GROUP BY 1) n ON n.device = d.id
    WHERE coalesce(d.retired_at > now(), true) GROUP BY 1
"""


async def ingest(operations: Database, heartbeat_s: float) -> Document:
    """All figures, read in one snapshot so that they add up."""
    async with (
        operations.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        counts = await connection.fetch(_TOTALS)
        rates = {row["n"]: row["rate"] for row in await connection.fetch(_MINUTES, list(_RATES.values()))}
        delays = await connection.fetch(_DELAYS)
        workers = [dict(row) for row in await connection.fetch(_WORKERS, heartbeat_s)]
        last = {row["dataset"]: row["last_event"] for row in await connection.fetch(_LAST_EVENTS)}
        devices = {row["kind"]: row for row in await connection.fetch(_DEVICES)}
    in_flight = sum(worker["in_flight"] for worker in workers if worker["alive"])
    return {
        "totals": _items(counts) | {"in_flight": in_flight},
        **{name: _by_reason(counts, what) for what, name in _BY_REASON.items()},
        "rates": {name: round(rates.get(minutes, 0.0), 3) for name, minutes in _RATES.items()},
        "kinds": {kind: _kind(kind, counts, devices.get(kind)) for kind in KINDS},
        "datasets": {d.name: _dataset(d.name, counts, last.get(d.name), delays) for d in _SHOWN},
        "workers": workers,
    }


def _items(counts: Iterable[Row]) -> Document:
    found = dict.fromkeys(_ITEM_COUNTS.values(), 0)
    for row in counts:
        if row["what"] in _ITEM_COUNTS:
            found[_ITEM_COUNTS[row["what"]]] += row["count"]
    return found


def _by_reason(counts: Iterable[Row], what: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in counts:
        if row["what"] == what:
            found[row["reason"]] = found.get(row["reason"], 0) + row["count"]
    return dict(sorted(found.items()))


def _kind(kind: str, counts: Iterable[Row], devices: Row) -> Document:
    expected, reporting = (devices["expected"], devices["reporting"]) if devices else (0, 0)
    found = {"expected": expected, "reporting": reporting, "silent": expected - reporting}
    return found | _items(row for row in counts if row["kind"] == kind)


def _dataset(name: str, counts: Iterable[Row], last_event: Any, delays: Iterable[Row]) -> Document:
    histogram = [(row["bound"], row["count"]) for row in delays if row["dataset"] == name]
    return {
        "rows": sum(row["count"] for row in counts if row["what"] == "rows" and row["dataset"] == name),
        "last_event": last_event,
        "delay_p50_s": quantile(histogram, 0.5),
        "delay_p95_s": quantile(histogram, 0.95),
    }


def quantile(histogram: list[tuple[float, int]], share: float) -> float | None:
    """Estimate the value below which a share of what was counted lies, evenly spread within each bucket.

    Buckets are (upper bound, count) in rising order. Beyond the last finite bound only that bound is known.
    """
    wanted = share * sum(count for _, count in histogram)
    for bound, count in histogram:
        if count >= wanted > 0:
            low = max(edge for edge in DELAY_EDGES if edge < bound)
            return low if bound == float("inf") else round(low + (bound - low) * wanted / count, 3)
        wanted -= count
    return None
