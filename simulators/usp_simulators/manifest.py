"""A manifest: JSON Lines of the rows that ought to be stored, one for each row of each acknowledged message.

    {"device": "lamp-…", "dataset": "noise", "time": "2026-11-20T09:00:00Z", "period": 60, "values": {"laeq": 68.1}}

Lines with the same device, dataset and time are parts of one row (rain falls into the row of its interval's start), and
a message that was sent twice is there twice; `read_manifest` puts parts together.
"""

from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from usp_simulators.message import Message

#: (device, dataset, time) -> the row's values, and `period` where there is one.
Expected = dict[tuple[str, str, datetime], dict[str, Any]]

_FORMAT = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class Manifest:
    """Appends to a manifest; what was acknowledged in the last moments before a crash may be missing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def add(self, message: Message) -> None:
        """Write down what becomes of an acknowledged message."""
        for row in message.rows:
            line: dict[str, Any] = {"device": message.device, "dataset": row.dataset, "time": row.time}
            if row.period is not None:
                line["period"] = row.period
            line["values"] = row.values
            self._file.write(orjson.dumps(line, option=_FORMAT))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_manifest(path: Path) -> Expected:
    """Return every expected row, its parts put together."""
    expected: Expected = {}
    with path.open("rb") as lines:
        for text in lines:
            line = orjson.loads(text)
            row = expected.setdefault((line["device"], line["dataset"], datetime.fromisoformat(line["time"])), {})
            row |= line["values"]
            if "period" in line:
                row["period"] = line["period"]
    return expected
