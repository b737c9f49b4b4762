"""The statements by which `reconcile` compares one dataset.

In them `p` is a part as sent, `w` is what ought to stand, `t` what does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from usp_simulators.manifest import LATE, PERHAPS_LATE

#: Bits of the column `flags`, and in a latest table those that go with a value.
LATE_BIT, CODED_BIT = 8, 256
NEWEST_OUT_OF_RANGE, NEWEST_CODED = 256, 512
#: The bits that say whose clock a time is of; and one that only `sent` has, for rows that decide nothing.
CLOCK_BITS, IDLE_BIT = 7, 1 << 30
#: What is bottom-coded: the one bit of `flags` above the row's own.
CODED = "clients"

#: Each item's outcome, and from it the expected counts and rejections.
OUTCOMES = """
    CREATE TEMP TABLE outcome ON COMMIT DROP AS
    SELECT item, bool_or(fills) AS fills, sum(cardinality(conflicts)) AS conflicts FROM told GROUP BY item;

    CREATE TEMP TABLE expected_rejection ON COMMIT DROP AS
    SELECT f.item, f.address, f.reason, f.field, f.whole, r.payload FROM refusal f LEFT JOIN raw r USING (item)
    UNION ALL
    SELECT t.item, r.address, 'conflicting_value', c.field, NOT o.fills, r.payload
    FROM told t CROSS JOIN unnest(t.conflicts) AS c (field) JOIN outcome o USING (item) LEFT JOIN raw r USING (item);

    CREATE TEMP TABLE expected_count ON COMMIT DROP AS
    SELECT 'stored' AS what, '' AS reason, count(*) AS n FROM outcome WHERE fills
    UNION ALL SELECT 'duplicate', '', count(*) FROM outcome WHERE NOT fills AND conflicts = 0
    UNION ALL SELECT CASE WHEN whole THEN 'rejected' ELSE 'value_refused' END, reason, count(*)
    FROM expected_rejection GROUP BY 1, 2
"""

#: The property whose value no message tells: it follows from the counters before and after.
LOST = "frames_lost"
#: What a frame counter leaps between two frames is lost, unless it began anew meanwhile, by a join or by itself.
COUNT_LOST = f"""
    UPDATE won_device_health w SET {LOST} = f.lost, {LOST}_item = w.frame_counter_item,
        {LOST}_late = w.frame_counter_late, {LOST}_clock = w.frame_counter_clock
    FROM (
        SELECT device, time, frame_counter - lag(frame_counter) OVER frames - 1 AS lost, lag(time) OVER frames AS before
        FROM won_device_health WHERE frame_counter IS NOT NULL WINDOW frames AS (PARTITION BY device ORDER BY time)
    ) f
    WHERE w.device = f.device AND w.time = f.time AND w.{LOST} IS NULL AND f.lost >= 0
        AND NOT EXISTS (SELECT FROM restart r WHERE r.device = w.device AND r.time > f.before AND r.time <= w.time)
"""


@dataclass(frozen=True)
class Table:
    """A dataset as the database has it: its properties in the order of their bits."""

    dataset: str
    properties: tuple[str, ...]
    interval: bool

    def record(self, item: int, late: int, device: int, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row of the manifest as one of the temporary table."""
        values, flagged = row["values"], row.get("flagged", ())
        bits = sum(1 << self.properties.index(name) for name in flagged)
        flags = row.get("clock", 0) | (CODED_BIT if "coded" in row else 0)
        if not row.get("decides", True):
            flags |= IDLE_BIT
        return (
            item, late, device, datetime.fromisoformat(row["time"]), row.get("period"), bits,
            flags, *map(values.get, self.properties),
        )  # fmt: skip

    @cached_property
    def create(self) -> str:
        """What was sent, with the types that are stored: a `real` compares with what a `real` can hold."""
        listed = "".join(f', "{name}"' for name in self.properties)
        return (
            f"CREATE TEMP TABLE sent_{self.dataset} ON COMMIT DROP AS SELECT 0::bigint AS item, 0::smallint AS late, "
            f"device, time, 0::real AS period, 0 AS flagged, 0 AS flags{listed} FROM usp.{self.dataset} WITH NO DATA"
        )

    @cached_property
    def put_together(self) -> str:
        """The parts of each row in the order of sending: the first value of each property stands."""
        columns = []
        for bit, name in enumerate(self.properties):
            given = f'FILTER (WHERE "{name}" IS NOT NULL)'
            columns += [
                f'first("{name}", item) {given} AS "{name}"',
                f'min(item) {given} AS "{name}_item"',
                f'first(late, item) {given} AS "{name}_late"',
                f'coalesce(first(flagged & {1 << bit}, item) {given}, 0) AS "{name}_flagged"',
                f'first(flags & {CLOCK_BITS}, item) {given} AS "{name}_clock"',
            ]
            if name == CODED:
                columns.append(f'coalesce(first(flags & {CODED_BIT}, item) {given}, 0) AS "{name}_coded"')
        return (
            f"CREATE TEMP TABLE won_{self.dataset} ON COMMIT DROP AS SELECT device, time, first(late, item) AS late, "
            f"first(flags & {CLOCK_BITS}, item) AS clock, first(period, item) AS period, {', '.join(columns)} "
            f"FROM sent_{self.dataset} GROUP BY device, time"
        )

    @property
    def differences(self) -> dict[str, str]:
        """What may be wrong with a row, and how it shows."""
        period = ("period",) if self.interval else ()
        wanted, got = (", ".join(f'{of}."{name}"' for name in (*period, *self.properties)) for of in "wt")
        flagged = " + ".join(f'w."{name}_flagged"' for name in self.properties)
        coded = f'w."{CODED}_coded"' if CODED in self.properties else "0"
        both = "w.device IS NOT NULL AND t.received_at IS NOT NULL"
        return {
            "missing": "t.received_at IS NULL",
            "not sent": "w.device IS NULL",
            "other values": f"{both} AND ROW({wanted}) IS DISTINCT FROM ROW({got})",
            "other flags": f"{both} AND (t.flagged <> {flagged} OR t.flags & ~{LATE_BIT} <> {coded} + w.clock OR "
            f"w.late <> {PERHAPS_LATE} AND (t.flags & {LATE_BIT} <> 0) <> (w.late = {LATE}))",
        }

    def joined(self, condition: str) -> str:
        """Rows for which a condition holds, as they ought to be beside what they are."""
        return (
            f"SELECT device, time, w, t FROM won_{self.dataset} w FULL JOIN usp.{self.dataset} t USING (device, time) "
            f"WHERE {condition}"
        )

    @cached_property
    def tell(self) -> str:
        """For each part of a row whether it brought something new, and which of its values contradict."""
        fills = " OR ".join(f'coalesce(p.item = w."{name}_item", false)' for name in self.properties)
        conflicts = ", ".join(f"""CASE WHEN p."{name}" <> w."{name}" THEN '{name}' END""" for name in self.properties)
        return (
            f"INSERT INTO told SELECT p.item, {fills}, array_remove(ARRAY[{conflicts}]::text[], NULL) "
            f"FROM sent_{self.dataset} p JOIN won_{self.dataset} w USING (device, time) "
            f"WHERE p.flags & {IDLE_BIT} = 0"
        )

    @cached_property
    def newest(self) -> str:
        """For each device the newest value of each property, its time, and its flags."""
        columns = []
        for name in self.properties:
            given = f'FILTER (WHERE "{name}" IS NOT NULL)'
            coded = f'"{name}_coded"' if name == CODED else "0"
            columns += [
                f'last("{name}", time) {given} AS "{name}"',
                f'max(time) {given} AS "{name}_time"',
                f'last("{name}_late", time) {given} AS "{name}_late"',
                f'last(CASE "{name}_flagged" WHEN 0 THEN 0 ELSE {NEWEST_OUT_OF_RANGE} END '
                f'+ CASE {coded} WHEN 0 THEN 0 ELSE {NEWEST_CODED} END + "{name}_clock", time) {given} '
                f'AS "{name}_flags"',
            ]
            if self.interval:
                columns.append(f'last(period, time) {given} AS "{name}_period"')
        return f"SELECT device, {', '.join(columns)} FROM won_{self.dataset} GROUP BY device"

    def newest_wrong(self, wanted: Any, found: Mapping[int, Any]) -> Iterator[tuple[Any, ...]]:
        """Properties whose newest value is not the expected one."""
        got = found.get(wanted["device"])
        parts = ("", "_time", "_period") if self.interval else ("", "_time")
        for name in self.properties:
            if got is None:
                yield name, "missing"
                return
            expected = [wanted[name + part] for part in parts]
            stands = [got[name + part] for part in parts]
            if expected != stands:
                yield name, expected, stands
            elif wanted[name] is not None:
                late = wanted[f"{name}_late"]
                ignored = LATE_BIT if late == PERHAPS_LATE else 0
                flags = wanted[f"{name}_flags"] | (LATE_BIT if late == LATE else 0)
                if got[f"{name}_flags"] & ~ignored != flags:
                    yield name, "flags", flags, got[f"{name}_flags"]
