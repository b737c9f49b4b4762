"""The one statement that aggregates: parts of slots are added up by bucket and device, site, or all together.

Its tables: `devs`, the devices in order; `edges`, the buckets; `placed`, where devices stood; `marked`, the hours whose
partials are out of date; `parts` by (device_id, slot); `added`, everything that is added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from usp.api import statistics
from usp.api.places import where_it_counts
from usp.api.selection import Arguments
from usp.models import partials
from usp.models.bucket import By, Width
from usp.models.dataset import Aggregation
from usp.models.edges import EPOCH, FIXED, HOUR, full_hour
from usp.models.query import BucketQuery


@dataclass(frozen=True)
class Reporting:
    """A device that reports what is asked; `interval` in seconds, None where it reports changes.

    `until` is when it was taken out of service, or has reported last if that is later; None where it is in service.
    `site` is where it stands all the time of the answer; None where it has no site, or where that is not asked.
    """

    id: int
    interval: float | None
    until: datetime | None
    site: str | None = None


class BucketStatement:
    """Pieces of the statement; what is rolled up until `rolled` may be read from the partials.

    `devices` are those told of, in order, `edges` those of the buckets that are told. `moving`: whether it matters
    where a device stood in which hour.
    """

    def __init__(
        self,
        query: BucketQuery,
        edges: Sequence[datetime],
        devices: Sequence[Reporting],
        rolled: datetime,
        *,
        moving: bool,
    ) -> None:
        self.query = query
        self.dataset = query.dataset
        self.properties = query.properties
        #: What is read: also the states of those who report changes, whose coverage is how long they are known.
        self.read = list(query.properties)
        if any(d.interval is None for d in devices):
            self.read += [
                p
                for p in query.dataset.properties
                if p.aggregation is Aggregation.STATE
                and p.visibility is query.dataset.visibility
                and p not in query.properties
            ]
        self.stitched = [p for p in self.read if p.aggregation in partials.STITCHED]
        self.moving = moving
        #: An hour of a device in which nothing is joined is one slot: then nothing is added up.
        self.single = query.width is Width.HOUR and query.by is By.DEVICE and not moving and not self.stitched
        self.sums = statistics.Sums(grouped=not self.single)
        self.arguments = Arguments()
        self.devices = self.arguments.add([d.id for d in devices], "int[]")
        self.sites = self.arguments.add([d.site for d in devices], "text[]")
        self.untils = self.arguments.add([d.until for d in devices], "timestamptz[]")
        self.any_retired = any(d.until for d in devices)
        #: Where all report alike, nobody has to be asked.
        intervals = {d.interval for d in devices}
        self.interval = "d.interval"
        if len(intervals) == 1:
            (only,) = intervals
            self.interval = "NULL::float8" if only is None else f"{only!r}::float8"
        self.buckets = len(edges) - 1
        self._edges, self._rolled = edges, rolled
        self._divide(edges[0], edges[-1], rolled)

    # A placeholder that nothing uses has no type: each is made when it is first needed.

    @cached_property
    def start(self) -> str:
        """When the first bucket begins."""
        return self._time(self._edges[0])

    @cached_property
    def end(self) -> str:
        """When the last bucket ends."""
        return self._time(self._edges[-1])

    @cached_property
    def _listed(self) -> str:
        """All edges."""
        return self.arguments.add(list(self._edges), "timestamptz[]")

    @cached_property
    def hours_before(self) -> str:
        """Up to where what lies before the first bucket may be read from partials."""
        return self._time(min(full_hour(self._edges[0]), self._rolled))

    def _divide(self, start: datetime, end: datetime, rolled: datetime) -> None:
        """Tell the hours that are read from partials, as a condition on `hour`, from the times of raw rows.

        A register's reading at the very end still belongs to the window, so the hour that begins there is looked at.
        """
        first, last = full_hour(start + HOUR - timedelta(microseconds=1)), min(full_hour(end), rolled)
        at_end = any(p.aggregation is Aggregation.COUNTER for p in self.stitched)
        before = "<=" if at_end else "<"
        if FIXED.get(self.query.width, HOUR) < HOUR or last <= first:
            self.hours, self.raw = "false", [f"r.time >= {self.start} AND r.time {before} {self.end}"]
            return
        ends_there = last == end and (not at_end or end < rolled)
        self.hours = f"hour >= {self._time(first)} AND hour {before if ends_there else '<'} {self._time(last)}"
        self.raw = [f"r.time >= {self.start} AND r.time < {self._time(first)}"] if start < first else []
        if not ends_there:
            self.raw.append(f"r.time >= {self._time(last)} AND r.time {before} {self.end}")

    def _time(self, at: datetime) -> str:
        return self.arguments.add(at, "timestamptz")

    def bucket(self, time: str) -> str:
        """The number of a time's bucket, from 1 on; outside of the window none of theirs."""
        if (width := self._seconds) is not None:
            return f"(floor(date_part('epoch', {time} - {self.start}) / {width})::integer + 1)"
        return f"width_bucket({time}, {self._listed})"

    @property
    def _seconds(self) -> float | None:
        """The width of buckets that are all equally wide."""
        fixed = FIXED.get(self.query.width)
        return None if fixed is None else fixed.total_seconds()

    @staticmethod
    def hour(time: str) -> str:
        """The hour of UTC in which a time lies."""
        return f"date_trunc('hour', {time}, 'UTC')"

    def stood(self, table: str, hour: str) -> str:
        """The join to where a device stood at the start of an hour, if that matters, or stands anyway."""
        if self.moving:
            return f"JOIN placed l ON l.device_id = {table}.device_id AND l.valid @> {hour}"
        return f"JOIN devs l ON l.device_id = {table}.device_id" if self.query.by is By.SITE else ""

    def row(self, device: str, bucket: str, values: dict[str, str]) -> str:
        """The columns of a row that is added up."""
        site = "l.site" if self.query.by is By.SITE else "NULL::text"
        listed = [f"{device} AS device_id", f"{bucket} AS b", f"{site} AS site"]
        listed += [f'({values.get(name, "NULL")})::{type_} AS "{name}"' for name, type_ in self.summed]
        return f"SELECT {', '.join(listed)}"

    @cached_property
    def summed(self) -> list[tuple[str, str]]:
        """What is added up: the parts that any statistic takes, and their types."""
        taken = [sql for asked in self.query.asked for sql in statistics.finished(asked, self.sums)]
        taken += [statistics.known_seconds(p) for p in self.stitched if p.aggregation is Aggregation.STATE]
        text = " ".join(taken)
        own = [("seconds", "float8"), ("rows", "integer"), ("left_out", "integer")]
        parts = [column for p in self.read for column in partials.columns_of(p)]
        return own + [(name, str(type_)) for name, type_ in parts if f'c."{name}"' in text]

    def devs(self) -> str:
        """The devices, in order, with the rules of their profiles."""
        return (
            "devs AS MATERIALIZED (SELECT u.device_id, u.rank, d.name, d.interval, d.max_hold, d.registers, "
            f"u.until, u.site FROM unnest({self.devices}, {self.sites}, {self.untils}) WITH ORDINALITY "
            "u(device_id, site, until, rank) JOIN device d ON d.id = u.device_id)"
        )

    def edge_table(self) -> str:
        """The buckets by number."""
        if (width := self._seconds) is not None:
            series = f"generate_series({self.start}, {self.end}, interval '{width:.0f} seconds')"
        else:
            series = f"unnest({self._listed})"
        return (
            'edges AS MATERIALIZED (SELECT e.*, greatest(date_part(\'epoch\', least(e."end", now()) - e."start"), 0) '
            'AS seconds FROM (SELECT u.b::integer AS b, u.edge AS "start", lead(u.edge) OVER (ORDER BY u.b) AS "end" '
            f'FROM {series} WITH ORDINALITY u(edge, b)) e WHERE e."end" IS NOT NULL)'
        )

    def place_table(self) -> str:
        """Where devices stood: what is asked for counts from the first full hour that begins in it."""
        conditions = [f"l.device_id = ANY({self.devices})", where_it_counts(self.query, self.arguments)]
        lower, upper = (
            self.hour(f"{end}(l.valid) + interval '1 hour' - interval '1 microsecond'") for end in ("lower", "upper")
        )
        return (
            f"placed AS MATERIALIZED (SELECT l.device_id, l.site, l.lon, l.lat, tstzrange({lower}, {upper}) AS valid "
            f"FROM placement l WHERE {' AND '.join(conditions)})"
        )

    def mark_table(self) -> str:
        """The hours whose partials are out of date."""
        return (
            f"marked AS MATERIALIZED (SELECT DISTINCT device_id, hour FROM rollup_mark "
            f"WHERE dataset = '{self.dataset.name}' AND device_id = ANY({self.devices}) AND {self.hours})"
        )

    def part_table(self) -> str:
        """Parts by (device_id, slot): partials of full hours, and of the rest what raw rows make."""
        bits = sum(self.dataset.bit[p.name] for p in self.properties)
        # Most devices always measure the same.
        rows = (
            f"CASE cardinality(h.present) WHEN 0 THEN 0 WHEN 1 THEN CASE WHEN h.present[1] & {bits} <> 0 "
            "THEN h.present_count[1] ELSE 0 END ELSE (SELECT coalesce(sum(u.n), 0) "
            f"FROM unnest(h.present, h.present_count) u(m, n) WHERE u.m & {bits} <> 0) END::integer AS rows"
        )
        columns = [f'h."{name}"' for p in self.read for name, _ in partials.columns_of(p)]
        stands = (
            f"SELECT h.device_id, h.hour AS slot, {', '.join(columns)}, {rows} FROM {self.dataset.name}_hourly h "
            f"WHERE h.device_id = ANY({self.devices}) AND {self.hours} "
            "AND NOT EXISTS (SELECT FROM marked m WHERE m.device_id = h.device_id AND m.hour = h.hour)"
        )
        counted = f"count(*) FILTER (WHERE ({partials.present(self.dataset, self.properties)}) <> 0)::integer AS rows"
        return f"parts AS ({stands} UNION ALL {partials.slots(self.dataset, self.read, self._rows(), counted)})"

    def _rows(self) -> str:
        """Raw rows with their slot: an hour, or as much of it as lies in the window or the bucket."""
        name, width = self.dataset.name, FIXED.get(self.query.width, HOUR)
        slot = f"greatest({self.hour('r.time')}, {self.start})"
        if width < HOUR:
            slot = f"date_bin('{width.total_seconds():.0f} seconds', r.time, '{EPOCH.isoformat()}')"
        columns = f"r.*, CASE WHEN r.time >= {self.end} THEN {self.end} ELSE {slot} END AS slot"
        ranges = [
            f"SELECT {columns} FROM {name} r WHERE r.device_id = ANY({self.devices}) AND {condition}"
            for condition in self.raw
        ]
        ranges.append(
            f"SELECT {columns} FROM marked m CROSS JOIN LATERAL (SELECT * FROM {name} x "
            "WHERE x.device_id = m.device_id AND x.time >= m.hour AND x.time < m.hour + interval '1 hour' OFFSET 0) r"
        )
        rows = " UNION ALL ".join(ranges)
        if not self.stitched:
            return rows
        return f"SELECT y.*, d.max_hold, d.registers FROM ({rows}) y JOIN devs d ON d.device_id = y.device_id"

    def grid(self) -> str:
        """Every device in every bucket, with the seconds that have gone by in it."""
        values, joins, devices = {"seconds": self._gone()}, [], "devs"
        counters = [p for p in self.stitched if p.aggregation is Aggregation.COUNTER]
        if self.moving:
            joins.append('JOIN placed l ON l.device_id = d.device_id AND l.valid && tstzrange(e."start", e."end")')
        else:
            joins.append(self.stood("d", ""))
        if not self.moving and not self.any_retired and self.query.by is not By.DEVICE and not counters:
            # One stands for all of its site.
            devices = "(SELECT min(device_id) AS device_id, count(*) AS n FROM devs GROUP BY site, interval)"
            values["seconds"] = "e.seconds * d.n"
        for prop in counters:
            # From its first reading ever on there is a register to compare with, and no step is no increase.
            since = f'"since_{prop.name}"'
            values[f"{prop.name}_increase"] = f'CASE WHEN {since}.since <= e."end" THEN 0 END'
            joins.append(f"LEFT JOIN {since} ON {since}.device_id = d.device_id")
        row = self.row("d.device_id", "e.b", values)
        return f"{row} FROM {devices} d CROSS JOIN edges e {' '.join(joins)} {self._served}"

    def _gone(self) -> str:
        """The seconds of bucket `e` that have gone by for device `d`, where it stood at `l` if that matters."""
        if not self.moving and not self.any_retired:
            return "e.seconds"
        starts, ends = ['e."start"'], ['e."end"', "now()", "d.until"]
        if self.moving:
            starts.append("lower(l.valid)")
            ends.append("upper(l.valid)")
        return f"greatest(date_part('epoch', least({', '.join(ends)}) - greatest({', '.join(starts)})), 0)"

    @property
    def _served(self) -> str:
        """The condition that device `d` was in service in bucket `e`."""
        return 'WHERE coalesce(e."start" < d.until, true)' if self.any_retired else ""

    def joined(self) -> str:
        """Every device in every bucket with its only slot, where nothing has to be added up."""
        listed = [f'{sql} AS "{name}"' for name, sql in self._of_slot().items()]
        return (
            f"SELECT d.device_id, e.b, {self.interval} AS interval, {self._gone()} AS seconds, {', '.join(listed)} "
            'FROM devs d CROSS JOIN edges e LEFT JOIN parts s ON s.device_id = d.device_id AND s.slot = e."start" '
            + self._served
        )

    def _of_slot(self) -> dict[str, str]:
        left_out = " + ".join(f'coalesce(s."{p.name}_flagged", 0)' for p in self.properties)
        columns = [name for p in self.read for name, _ in partials.columns_of(p)]
        return {"rows": "s.rows", "left_out": left_out} | {name: f's."{name}"' for name in columns}

    def own(self) -> str:
        """The parts of slots."""
        values = self._of_slot()
        row = self.row("s.device_id", self.bucket("s.slot"), values)
        # An hour may hold nothing of what is asked for.
        states = [f's."{p.name}_count" > 0' for p in self.stitched]
        any_of_it = " OR ".join(["s.rows > 0", f"{values['left_out']} > 0", *states])
        return f"{row} FROM parts s {self.stood('s', self.hour('s.slot'))} WHERE {any_of_it}"
