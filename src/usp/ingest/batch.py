"""What is written together: rows by dataset, rejections, counts. Filled by the pipeline, emptied by the writer."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from usp.ingest.normalise import Row
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason

#: How much of an item a rejection keeps; beyond it only length and digest.
RAW_LIMIT = 64 * 1024


class CountKey(NamedTuple):
    """What is counted: `what` is received, stored, duplicate, rejected, value_refused, event, rows or delay."""

    door: str
    kind: str
    dataset: str
    what: str
    reason: str


class Item(NamedTuple):
    """One reading as sent, and who sent it; kept until its outcome is known."""

    door: str
    topic: str
    address: str
    kind: str
    device: int | None
    raw: Any
    message: bytes
    received_at: datetime

    def payload(self) -> bytes:
        """The item's own bytes; the whole message's where it could not be split, or goes too deep to be written."""
        if self.raw is None:
            return self.message
        try:
            return orjson.dumps(self.raw)
        except TypeError:
            return self.message


class Rejection(NamedTuple):
    """An item, or one of its values, that was kept out."""

    item: Item
    refusal: Refusal
    whole_item: bool


@dataclass(slots=True)
class Rows:
    """Rows of one dataset with unique keys, and the item each belongs to."""

    rows: list[Row] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    keys: dict[tuple[int, datetime], int] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """A batch. Rows that meet the same key go into successive rounds, so they are applied in order of arrival."""

    items: list[Item] = field(default_factory=list)
    row_counts: list[int] = field(default_factory=list)
    rounds: dict[str, list[Rows]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    counts: Counter[CountKey] = field(default_factory=Counter)
    unmapped: dict[tuple[int | None, str], tuple[int, Any, datetime]] = field(default_factory=dict)

    def add_item(self, item: Item, row_count: int) -> int:
        """Take in an item; returns its number."""
        self.items.append(item)
        self.row_counts.append(row_count)
        return len(self.items) - 1

    def add_row(self, dataset: str, row: Row, item: int) -> None:
        """Take in a row of an item."""
        key = (row[1], row[0])
        rounds = self.rounds.get(dataset)
        if rounds is None:
            rounds = self.rounds[dataset] = [Rows()]
        for rows in rounds:
            if key not in rows.keys:
                break
        else:
            rows = Rows()
            rounds.append(rows)
        rows.keys[key] = len(rows.rows)
        rows.rows.append(row)
        rows.items.append(item)

    def reject(self, item: Item, refusal: Refusal, *, whole_item: bool) -> None:
        """Record a refusal, and count it once: as a rejected item, or as a refused value beside stored ones."""
        self.rejections.append(Rejection(item, refusal, whole_item))
        what = "rejected" if whole_item else "value_refused"
        self.counts[CountKey(item.door, item.kind, "", what, refusal.reason)] += 1

    def count_refused(self, other: "Batch") -> None:
        """Count another batch's receipts, with all its items as rejected: the database takes none of them."""
        self.counts.update(other.counts)
        for item in other.items:
            self.counts[CountKey(item.door, item.kind, "", "rejected", Reason.REFUSED_BY_DATABASE)] += 1

    def count_unmapped(self, device: int | None, name: str, value: Any, at: datetime) -> None:
        """Count a field that belongs to no property, with its last value."""
        count = self.unmapped.get((device, name), (0,))[0]
        self.unmapped[device, name] = (count + 1, value, at)
