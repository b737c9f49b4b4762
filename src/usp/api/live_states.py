"""Newest values kept in memory: read from the database, and written as `latest` writes them."""

from collections.abc import Collection
from typing import Any, NamedTuple

import orjson

from usp.api.live_question import HALF, since, system_name
from usp.api.live_registry import Device
from usp.api.selection import TIME_AS_TEXT, identifier
from usp.db import Connection
from usp.models.dataset import ROW_FLAG_NAMES, VALUE_BOTTOM_CODED, VALUE_OUT_OF_RANGE, Dataset, Visibility

# The timeline is another after a fail-over or a return to an earlier moment, the database after a copy.
_POSITION = """
    SELECT s.system_identifier, c.timeline_id, d.oid, p.snapshot::text,
        pg_snapshot_xmin(p.snapshot)::text::bigint AS xid
    FROM pg_control_system() s, pg_control_checkpoint() c, (SELECT pg_current_snapshot() AS snapshot) p, pg_database d
    WHERE d.datname = current_database()
"""


class Position(NamedTuple):
    """Where the database is: which one, a snapshot of its transactions, the first of them that is not finished."""

    system: str
    snapshot: str
    xid: int


class State(NamedTuple):
    """A device's newest values: the transaction that wrote them, and JSON lists [name, value, time, flags, period]."""

    changed: int
    fields: str


async def position(connection: Connection) -> Position:
    """Where the database is now."""
    row = await connection.fetchrow(_POSITION)
    if row is None:
        raise LookupError("pg_database")
    return Position(system_name(row[0], row[1], row[2]), row["snapshot"], row["xid"])


class Feed:
    """The newest values of one dataset, as one visibility shows them."""

    def __init__(self, dataset: Dataset, seen: Visibility) -> None:
        self.dataset = dataset
        self.states: dict[int, State] = {}
        #: The devices that have values; another object when there are others.
        self.order: tuple[int, ...] = ()
        #: What was read holds everything of all transactions before; None before it was read.
        self.since: int | None = None
        self._lines: dict[int, bytes] = {}
        self._sql = _statement(dataset, seen)

    async def load(self, connection: Connection) -> set[int]:
        """Read everything anew; returns the devices whose values are others, or there no more."""
        found = _states(await connection.fetch(self._sql))
        changed = {device for device in found if self._differs(device, found[device])}
        gone = self.states.keys() - found.keys()
        self.states = found
        self._noticed(changed | gone)
        return changed | gone

    async def follow(self, connection: Connection) -> set[int]:
        """Read what was written since; returns the devices whose values are others."""
        # Also what lies beyond transactions that still run; it is read again until they have ended.
        rows = await connection.fetch(f"{self._sql} WHERE (r.changed - $1::bigint) & 4294967295 < {HALF}", self.since)
        found = _states(rows)
        changed = {device for device in found if self._differs(device, found[device])}
        self.states.update(found)
        self._noticed(changed)
        return changed

    def written_since(self, xid: int) -> set[int]:
        """The devices whose values were written by this transaction or later."""
        return {device for device, state in self.states.items() if since(state.changed, xid)}

    def forget(self, changed: Collection[int]) -> None:
        """Their lines are no longer what they were."""
        for device in changed:
            self._lines.pop(device, None)

    def line(self, key: int, device: Device, chosen: frozenset[str] | None) -> bytes | None:
        """A device's newest values, or those of the chosen properties, as `written` says; None without a state."""
        state = self.states.get(key)
        if state is None or chosen is not None:
            return None if state is None else written(self.dataset, device, state.fields, chosen)
        if key not in self._lines:
            self._lines[key] = written(self.dataset, device, state.fields) or b""
        return self._lines[key]

    def _differs(self, device: int, state: State) -> bool:
        # What is written again, or of what is hidden here, is no news.
        known = self.states.get(device)
        return known is None or known.fields != state.fields

    def _noticed(self, changed: Collection[int]) -> None:
        self.forget(changed)
        if len(self.order) != len(self.states) or self.states.keys() != set(self.order):
            self.order = tuple(self.states)


def written(dataset: Dataset, device: Device, fields: str, chosen: frozenset[str] | None = None) -> bytes | None:
    """One object as in `latest`, and its dataset; None where no chosen property was ever told.

    Nothing where all that were have been taken back: a counter of frames after a join.
    """
    asked = [f for f in orjson.loads(f"[{fields}]") if chosen is None or f[0] in chosen]
    if all(value is None for _, value, *_ in asked):
        return b"" if asked else None
    # Without the Z, text with a fraction sorts behind text without.
    newest = max((time for _, _, time, _, _ in asked), key=lambda time: time[:-1])
    of_newest = [(flags, period) for _, _, time, flags, period in asked if time == newest]
    told = {"dataset": dataset.name, "device": device.name, "time": newest, **device.place}
    periods = [period for _, period in of_newest if period is not None]
    if periods:
        told["period"] = periods[0]
    for name, value, time, _, _ in asked:
        if value is not None:
            told[name] = value
        told[f"{name}_time"] = time
    flags = [f"{name}:out_of_range" for name, _, _, own, _ in asked if own & VALUE_OUT_OF_RANGE]
    flags += [f"{name}:bottom_coded" for name, _, _, own, _ in asked if own & VALUE_BOTTOM_CODED]
    flags += [word for bit, word in ROW_FLAG_NAMES.items() if any(own & bit for own, _ in of_newest)]
    # A copy: orjson leaves kilobytes of room behind each of its texts, for as long as that is kept.
    return bytes(memoryview(orjson.dumps({**told, "flags": flags})))


def _states(rows: Collection[Any]) -> dict[int, State]:
    return {row["device_id"]: State(row["changed"], row["fields"]) for row in rows}


def _statement(dataset: Dataset, seen: Visibility) -> str:
    """Each device's values as JSON lists, made by PostgreSQL: single precision keeps its shortest decimal."""
    fields = []
    for prop in dataset.visible(seen):
        time = TIME_AS_TEXT.format(f"r.{prop.name}_time")
        value, period = f"r.{identifier(prop.name)}", f"r.{prop.name}_period" if dataset.interval else "NULL"
        parts = [f"'[\"{prop.name}\",'", f"coalesce(to_json({value})::text, 'null')", "',\"'", time, "'\",'"]
        parts += [f"coalesce(r.{prop.name}_flags, 0)", "','", f"coalesce(({period})::text, 'null')", "']'"]
        fields.append(f"CASE WHEN r.{prop.name}_time IS NOT NULL THEN concat({', '.join(parts)}) END")
    return f"SELECT r.device_id, r.changed, concat_ws(',', {', '.join(fields)}) AS fields FROM {dataset.name}_latest r"
