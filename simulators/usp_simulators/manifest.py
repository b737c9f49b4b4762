"""A manifest: JSON Lines of what ought to become of each item of each acknowledged message, in the order of sending.

    {"device": "lamp-…", "late": 0, "rows": [
        {"dataset": "noise", "time": "2026-11-20T09:00:00Z", "period": 60, "values": {"laeq": 68.1}}, …]}
    {"device": "lamp-…", "late": 1, "rows": [], "reason": "not_json", "payload": "d41d8cd98f00b204e9800998ecf8427e"}

Each line speaks of its item alone. That rows meet rows, when a reading comes twice or rain falls into the row of its
interval's start, is put together by `reconcile`.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from usp_simulators.message import Fate, Row, Sendable

#: A reading whose age is between these when it is sent, in seconds, may or may not be an hour old when it arrives.
SURELY_ON_TIME, SURELY_LATE = 2_400, 3_605
ON_TIME, LATE, PERHAPS_LATE = 0, 1, 2

_FORMAT = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class Manifest:
    """Appends to a manifest; what was acknowledged in the last moments before a crash may be missing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self.items = 0

    def add(self, sent: Sendable) -> None:
        """Write down what becomes of an acknowledged message."""
        now = time.time()
        for fate in sent.fates:
            self._file.write(orjson.dumps(_line(sent.device, fate, now), option=_FORMAT))
            self.items += not fate.event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _line(device: str, fate: Fate, now: float) -> dict[str, Any]:
    line: dict[str, Any] = {"device": device, "late": _late(fate, now), "rows": [_row(row) for row in fate.rows]}
    if fate.reason:
        line |= {"reason": fate.reason, "field": fate.field}
    if fate.refused:
        line["refused"] = fate.refused
    if fate.unmapped:
        line["unmapped"] = fate.unmapped
    if fate.address:
        line["address"] = fate.address
    if fate.event:
        line["event"] = fate.event
    if fate.restart is not None:
        line["restart"] = fate.restart
    if fate.raw is not None:
        line["payload"] = hashlib.md5(fate.raw, usedforsecurity=False).hexdigest()
    return line


def _late(fate: Fate, now: float) -> int:
    age = 0.0 if fate.time is None else now - fate.time.timestamp()
    if age > SURELY_LATE:
        return LATE
    return ON_TIME if age < SURELY_ON_TIME else PERHAPS_LATE


def _row(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"dataset": row.dataset, "time": row.time, "values": row.values}
    if row.period is not None:
        line["period"] = row.period
    if row.flagged:
        line["flagged"] = row.flagged
    if row.coded:
        line["coded"] = row.coded
    if row.clock:
        line["clock"] = row.clock
    if not row.decides:
        line["decides"] = False
    return line


def read_manifest(path: Path) -> Iterator[dict[str, Any]]:
    """Every item, in the order of sending."""
    with path.open("rb") as lines:
        for text in lines:
            yield orjson.loads(text)
