"""What is read for the quality of a dataset: counts of whole buckets, hours in which nothing moved, raw rows.

Each is asked of the views of the reader's schema, so that nothing hidden has a share in any figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from usp.api.bucket_statement import BucketStatement, Reporting
from usp.api.buckets import buckets
from usp.api.database import Database
from usp.api.figures import INTERVALS, LEAST_S
from usp.api.places import placements
from usp.api.selection import Arguments
from usp.db import Connection
from usp.models.bucket import Asked, By, Statistic, Width
from usp.models.dataset import ROW_FLAG_NAMES, Aggregation, Dataset, Property, RowFlag
from usp.models.edges import HOUR
from usp.models.query import BucketQuery, Page, Places, TimeWindow

#: asyncpg's records are mappings in all but name.
Row = Any

#: A value counts as stuck that has not changed in so many hours of UTC with readings, the newest among them, …
STUCK_HOURS = 4
#: … and in so many readings.
STUCK_READINGS = 30
#: Of raw rows so many are looked at, or a few more.
RAW_ROWS = 100_000

#: States, registers, sums and extremes may stay as they are.
_MOVING = (Aggregation.MEAN, Aggregation.ENERGETIC_MEAN, Aggregation.WEIGHTED_MEAN)
#: So may what follows a set point, what a grid holds more constant than most meters resolve, counts, and radio.
_STEADY = {
    "lighting": ("dimming", "power"),
    "charging": ("power", "current", "voltage"),
    "energy": ("frequency", "power_factor"),
    "wifi": ("clients",),
    "device_health": ("rssi", "snr"),
}


@dataclass(frozen=True)
class Device:
    """A device that reports the dataset. `last_time` and `reporting` are of now, all else is of the window."""

    id: int
    name: str
    last_time: datetime
    age_s: float
    reporting: bool
    retired: bool
    #: Rows that count, those expected, their share or that of the time known, and values left out.
    count: int
    expected: int | None
    completeness: float | None
    flagged: int
    #: By property.
    counts: dict[str, int]


@dataclass(frozen=True)
class Stuck:
    """A value that does not change: since which hour of UTC, and in how many readings."""

    device: int
    property: str
    value: float
    since: datetime
    readings: int


async def whole(dataset: Dataset, asked: Sequence[Asked], window: TimeWindow, places: Places, by: Database) -> Row:
    """One bucket for each device."""
    query = BucketQuery(
        dataset=dataset,
        asked=tuple(asked),
        width=Width.WHOLE,
        edges=(window.start, window.end),
        by=By.DEVICE,
        places=places,
        page=Page(None),
    )
    selection = await buckets(query, by, spatial=False)
    async with by.connection() as connection, connection.transaction(readonly=True):
        await connection.execute(selection.planner)
        return await connection.fetch(selection.sql, *selection.values, None)


async def devices(
    connection: Connection, dataset: Dataset, properties: Sequence[Property], rows: Sequence[Row]
) -> list[Device]:
    """The devices of these buckets, with when they were last heard of, in the order of their names."""
    sql = f"""
        SELECT l.device_id, l.device, l.time, extract(epoch FROM now() - l.time)::float8 AS age,
            coalesce(d.retired_at <= now(), false) AS retired, l.time > now() - interval '1 second'
                * CASE WHEN d.interval IS NULL THEN d.max_hold ELSE greatest({INTERVALS} * d.interval, {LEAST_S}) END
                AS reporting
        FROM {dataset.name}_latest l JOIN device d ON d.id = l.device_id WHERE l.device = ANY($1::text[])
    """
    heard = {row["device"]: row for row in await connection.fetch(sql, [row["device"] for row in rows])}
    return [
        Device(
            id=last["device_id"],
            name=row["device"],
            last_time=last["time"],
            age_s=round(max(last["age"], 0), 1),
            reporting=last["reporting"],
            retired=last["retired"],
            count=int(row["count"]),
            expected=None if row["expected"] is None else int(row["expected"]),
            completeness=row["coverage"],
            flagged=int(row["flagged"]),
            counts={p.name: int(row[f"{p.name}_count"]) for p in properties},
        )
        for row in rows
        if (last := heard.get(row["device"])) is not None
    ]


@dataclass(frozen=True)
class Hours:
    """The hours of UTC of a window, from partials where they stand and from raw rows where not."""

    dataset: Dataset
    properties: tuple[Property, ...]
    window: TimeWindow
    places: Places
    rolled: datetime

    async def flagged(self, connection: Connection, of: Sequence[Device]) -> dict[str, int]:
        """Values left out, by property; none of those of which nothing is."""
        ids = [d.id for d in of if d.flagged]
        if not ids:
            return {}
        made = self._statement(self.window.start, ids)
        sums = ", ".join(f'coalesce(sum(s."{p.name}_flagged"), 0)::bigint AS "{p.name}"' for p in self.properties)
        sql = f"""
            WITH {", ".join(self._tables(made))}
            SELECT {sums} FROM parts s {made.stood("s", "s.slot")} WHERE s.slot < {made.end}
        """
        (row,) = await connection.fetch(sql, *made.arguments.values)
        return {name: count for name, count in row.items() if count}

    async def stuck(self, connection: Connection, of: Sequence[Device]) -> list[Stuck]:
        """Which values of these devices do not change."""
        suspects = await self._still(connection, [d.id for d in of if d.count])
        if not suspects:
            return []
        made = self._statement(self.window.start, suspects)
        columns = [(p.name, *(f's."{p.name}_{part}"' for part in ("count", "min", "max"))) for p in self._moving]
        listed = ", ".join(f"('{name}', {count}, {low}, {high})" for name, count, low, high in columns)
        newest_first = "WINDOW w AS (PARTITION BY e.device_id, e.property ORDER BY e.slot DESC)"
        sql = f"""
            WITH {", ".join(self._tables(made))}, each AS (
                SELECT s.device_id, s.slot, v.* FROM parts s {made.stood("s", "s.slot")}
                CROSS JOIN LATERAL (VALUES {listed}) v (property, n, low, high) WHERE s.slot < {made.end} AND v.n > 0
            ), runs AS (
                SELECT e.*, count(*) FILTER (WHERE e.low <> e.high OR e.high <> e.newest) OVER w = 0 AS still
                FROM (SELECT e.*, first_value(e.high) OVER w AS newest FROM each e {newest_first}) e {newest_first}
            )
            SELECT device_id, property, max(newest) AS value, min(slot) AS since, max(slot) AS until,
                sum(n)::bigint AS readings, count(*) AS hours
            FROM runs WHERE still GROUP BY 1, 2 ORDER BY 1, 2
        """
        rows = await connection.fetch(sql, *made.arguments.values)
        return [
            Stuck(row["device_id"], row["property"], row["value"], row["since"], row["readings"])
            for row in rows
            if self._suspicious(row)
        ]

    def _suspicious(self, row: Row) -> bool:
        return (
            row["hours"] >= STUCK_HOURS
            and row["readings"] >= STUCK_READINGS
            # What has fallen silent is silent, and not stuck.
            and row["until"] >= self.window.end - STUCK_HOURS * HOUR
            and row["value"] not in _resting(self.dataset.by_name[row["property"]])
        )

    @property
    def _moving(self) -> tuple[Property, ...]:
        """Properties whose values differ from one reading to the next, unless something is broken."""
        steady = _STEADY.get(self.dataset.name, ())
        return tuple(p for p in self.properties if p.aggregation in _MOVING and p.name not in steady)

    async def _still(self, connection: Connection, ids: list[int]) -> list[int]:
        """Devices of which anything has not moved in the last hours: where nothing has moved for longer, too."""
        start = self.window.end - STUCK_HOURS * HOUR
        if not ids or not self._moving or start < self.window.start:
            return []
        made = self._statement(start, ids)
        tests = " OR ".join(
            f'(min("{p.name}_min") = max("{p.name}_max") AND min("{p.name}_min") '
            f"NOT IN ({', '.join(f'{value:g}' for value in _resting(p))}))"
            for p in self._moving
        )
        sql = f"""
            WITH {", ".join(self._tables(made))}
            SELECT s.device_id FROM parts s WHERE s.slot < {made.end} GROUP BY 1 HAVING {tests}
        """
        return [row["device_id"] for row in await connection.fetch(sql, *made.arguments.values)]

    def _statement(self, start: datetime, ids: list[int]) -> BucketStatement:
        edges = (start, self.window.end)
        query = BucketQuery(
            dataset=self.dataset,
            asked=counts(self.properties),
            width=Width.WHOLE,
            edges=edges,
            by=By.DEVICE,
            places=self.places,
            page=Page(None),
        )
        # Only `devs` looks at more than the id, and only for sums that nobody asks for here.
        found = [Reporting(id=key, interval=None, until=None) for key in ids]
        return BucketStatement(query, edges, found, self.rolled, moving=self.places.placed)

    @staticmethod
    def _tables(made: BucketStatement) -> list[str]:
        placed = [made.place_table()] if made.moving else []
        return [made.devs(), made.edge_table(), made.mark_table(), made.part_table(), *placed]

    async def raw(self, connection: Connection, of: Sequence[Device]) -> Row:
        """Figures of raw rows: all of them, or those of every n-th device where there are too many."""
        every = max(1, -(-sum(d.count for d in of) // RAW_ROWS)) if len(of) > 1 else 1
        ids = [d.id for d in of[::every]]
        arguments = Arguments()
        start, end = (arguments.add(at, "timestamptz") for at in (self.window.start, self.window.end))
        conditions = [f"r.device_id = ANY({arguments.add(ids, 'int[]')}) AND r.time >= {start} AND r.time < {end}"]
        placed = ""
        if self.places.placed:
            placed = f"WITH {placements(self.places, ids, arguments)}"
            conditions.append("EXISTS (SELECT FROM placed l WHERE l.device_id = r.device_id AND l.valid @> r.time)")
        period = " - r.period" if self.dataset.interval else ""
        counted = {word: f"r.flags & {bit:d}" for bit, word in ROW_FLAG_NAMES.items()}
        counted |= {f"{name}:bottom_coded": f"r.flags & {bit}" for name, bit in self._coded().items()}
        columns = [f'count(*) FILTER (WHERE {test} <> 0) AS "{word}"' for word, test in counted.items()]
        sql = f"""
            {placed} SELECT {len(ids)} AS devices, count(*) AS rows, {", ".join(columns)},
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (
                    ORDER BY (extract(epoch FROM r.received_at - r.time){period})::float8
                ) FILTER (WHERE r.flags & {RowFlag.TIME_ARRIVAL:d} = 0) AS delays
            FROM {self.dataset.name} r WHERE {" AND ".join(conditions)}
        """
        return await connection.fetchrow(sql, *arguments.values)

    def _coded(self) -> dict[str, int]:
        return {p.name: self.dataset.bottom_bit[p.name] for p in self.properties if p.name in self.dataset.bottom_bit}


def counts(properties: Sequence[Property]) -> tuple[Asked, ...]:
    """How many values of each."""
    return tuple(Asked(p, Statistic.COUNT) for p in properties)


def _resting(prop: Property) -> list[float]:
    """Where a value may stay for as long as it likes: no light, no current, or the end of what can be measured."""
    return [0.0, *(bound for bound in (prop.low, prop.high) if bound is not None)]
