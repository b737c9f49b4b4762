"""The statements that write one dataset, derived from its declaration. `s` is the stage, `t` what stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from usp.models.dataset import Dataset


@dataclass(frozen=True)
class DatasetStatements:
    """Everything the writer says to the database about one dataset."""

    dataset: Dataset

    @property
    def stage(self) -> str:
        """The session's temporary table for rows."""
        return f"stage_{self.dataset.name}"

    @property
    def latest_stage(self) -> str:
        """The session's temporary table for newest values."""
        return f"stage_{self.dataset.name}_latest"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The hypertable's columns, in the order of a row."""
        period = ("period",) if self.dataset.interval else ()
        values = (p.name for p in self.dataset.properties)
        return ("time", "device", *period, *values, "flagged", "flags", "received_at")

    @cached_property
    def value_suffixes(self) -> tuple[str, ...]:
        """The columns a value has in the latest table."""
        return ("", "_time", "_flags", "_period") if self.dataset.interval else ("", "_time", "_flags")

    @cached_property
    def latest_columns(self) -> tuple[str, ...]:
        """The latest table's columns, in the order of a folded row."""
        values = (p.name + suffix for p in self.dataset.properties for suffix in self.value_suffixes)
        return ("device", *values, "received_at")

    @cached_property
    def create_stages(self) -> str:
        """Temporary tables, emptied by every commit. They have no indexes: rows are read once, whole."""
        name = self.dataset.name
        return (
            f"CREATE TEMP TABLE {self.stage} (LIKE usp.{name}) ON COMMIT DELETE ROWS;"
            f"CREATE TEMP TABLE {self.latest_stage} (LIKE usp.{name}_latest) ON COMMIT DELETE ROWS"
        )

    @cached_property
    def insert(self) -> str:
        """Insert what is new. Sorted, so that two writers meet in the same order and never in a deadlock."""
        listed = _quoted(self.columns)
        return (
            f"INSERT INTO usp.{self.dataset.name} ({listed}) SELECT {listed} FROM {self.stage} "
            "ORDER BY device, time ON CONFLICT DO NOTHING"
        )

    def _sum_of_bits(self, condition: str) -> str:
        return " + ".join(
            f"CASE WHEN {condition.format(p=p.name)} THEN {self.dataset.bit[p.name]} ELSE 0 END"
            for p in self.dataset.properties
        )

    @cached_property
    def compare(self) -> str:
        """Staged rows that met another row: which properties they would fill, and which contradict what stands.

        Takes the stage's first and last time, so that only chunks between them are searched. A row that was just
        inserted is told from one that stood by its xmin, the transaction that wrote it.
        """
        fills = self._sum_of_bits("s.{p} IS NOT NULL AND t.{p} IS NULL")
        conflicts = self._sum_of_bits("s.{p} <> t.{p}")
        same_period = "s.period = t.period" if self.dataset.interval else "true"
        return f"""
            SELECT device, time, fills, conflicts, same_period, standing
            FROM (
                SELECT s.device, s.time, {fills} AS fills, {conflicts} AS conflicts,
                    {same_period} AS same_period, to_jsonb(t) AS standing,
                    t.xmin <> pg_current_xact_id()::xid AS stood
                FROM {self.stage} s
                JOIN usp.{self.dataset.name} t ON t.device = s.device AND t.time = s.time
                WHERE t.time BETWEEN $1 AND $2
                ORDER BY s.device, s.time
                FOR UPDATE OF t
            ) q
            WHERE stood
        """

    @cached_property
    def standing(self) -> str:
        """The rows with these devices and times, in pairs."""
        return (
            f"SELECT {_quoted(self.columns)} FROM usp.{self.dataset.name} "
            "JOIN unnest($1::integer[], $2::timestamptz[]) AS k (device, time) USING (device, time)"
        )

    @cached_property
    def complete(self) -> str:
        """Fill the empty columns of standing rows; a value brings its own flag, the row's flags stay."""
        period = "AND s.period = t.period " if self.dataset.interval else ""
        filled = ", ".join(f"{p.name} = coalesce(t.{p.name}, s.{p.name})" for p in self.dataset.properties)
        fills = self._sum_of_bits("s.{p} IS NOT NULL AND t.{p} IS NULL")
        coded = " + ".join(
            f"CASE WHEN t.{name} IS NULL THEN s.flags & {bit} ELSE 0 END"
            for name, bit in self.dataset.bottom_bit.items()
        )
        flags = f"t.flags | ({coded})" if coded else "t.flags"
        return f"""
            UPDATE usp.{self.dataset.name} t
            SET {filled}, flagged = t.flagged | (s.flagged & ({fills})), flags = {flags}
            FROM {self.stage} s
            WHERE t.device = s.device AND t.time = s.time AND t.time BETWEEN $1 AND $2 {period}
                AND ({fills}) <> 0
        """

    @cached_property
    def upsert_latest(self) -> str:
        """For each property the newest value wins; at equal time the standing one stays."""
        listed = _quoted(self.latest_columns)
        newer = '(l."{p}_time" IS NULL OR excluded."{p}_time" > l."{p}_time")'
        assignments = ", ".join(
            f'"{p.name}{suffix}" = CASE WHEN {newer.format(p=p.name)} '
            f'THEN excluded."{p.name}{suffix}" ELSE l."{p.name}{suffix}" END'
            for p in self.dataset.properties
            for suffix in self.value_suffixes
        )
        return (
            f"INSERT INTO usp.{self.dataset.name}_latest AS l ({listed}) SELECT {listed} FROM {self.latest_stage} "
            f"ORDER BY device ON CONFLICT (device) DO UPDATE SET {assignments}, "
            "received_at = greatest(l.received_at, excluded.received_at)"
        )


def _quoted(columns: Iterable[str]) -> str:
    # `current_time`, for one, is a word of SQL.
    return ", ".join(f'"{column}"' for column in columns)
