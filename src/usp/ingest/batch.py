"""What is written together: rows by dataset, rejections, counts. Filled by the pipeline, emptied by the writer."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from usp.ingest.normalise import Row
from usp.ingest.refusal import Refusal

#: How much of an item a rejection keeps; beyond it only length and digest.
RAW_LIMIT = 64 * 1024
#: Different unknown fields taken note of in one batch; what comes again is noticed then.
UNMAPPED_PER_BATCH = 1_000


class CountKey(NamedTuple):
    """What is counted: `what` is received, stored, duplicate, rejected, value_refused, event, rows or delay."""

    door: str
    kind: str
    dataset: str
    what: str
    reason: str


#: Stands for an item that is its message.
WHOLE: Any = object()


class Replay(NamedTuple):
    """The rejection that an item is taken up from, and the refused field where the rest of the item was stored.

    A field that is "" stands for a whole dataset. `means` is what the field is today, as (dataset, property).
    """

    rejection: int
    field: str | None
    dataset: str = ""
    means: tuple[str, str] | None = None

    def concerns(self, refusal: Refusal) -> bool:
        """Whether a refused value is the one that is taken up, or a part of it."""
        if self.field == refusal.field:
            return bool(self.field) or self.dataset == refusal.dataset
        return bool(self.field) and refusal.field.startswith(f"{self.field}: ")

    def contradicted(self, refusal: Refusal) -> bool:
        """Whether a value that contradicts what stands is the one that is taken up; so, where that is not known."""
        return self.means is None or self.means == (refusal.dataset, refusal.field)


class Item(NamedTuple):
    """One reading as sent, and who sent it; kept until its outcome is known.

    `raw` is the decoded item of an array, WHOLE where the message is one item.
    """

    door: str
    topic: str
    address: str
    kind: str
    device: int | None
    raw: Any
    message: bytes
    received_at: datetime
    replay: Replay | None = None
    #: Whether one of its rows also holds what the network server tells of the radio.
    with_radio: bool = False

    def payload(self) -> bytes:
        """The item's own bytes; an element of an array is written anew, unless it goes too deep for that."""
        if self.raw is WHOLE:
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

    @property
    def is_known(self) -> bool:
        """Whether this is what the item was taken up from, or stands beside that."""
        replay = self.item.replay
        return replay is not None and (self.whole_item or replay.field is not None)

    @property
    def stays(self) -> int | None:
        """The rejection that stays because of this one, if the item was taken up from one."""
        replay = self.item.replay
        if replay is not None and (self.whole_item or replay.concerns(self.refusal)):
            return replay.rejection
        return None


#: Owner of rows that decide no outcome: radio data beside a reading.
NOBODY = -1


@dataclass(slots=True)
class Rows:
    """Rows of one dataset with unique keys, and the item each belongs to, or NOBODY.

    `followers` are rows that came later for a key that was there: they are applied to it in order of arrival.
    """

    rows: list[Row] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    keys: dict[tuple[int, datetime], int] = field(default_factory=dict)
    followers: list[tuple[Row, int]] = field(default_factory=list)

    def add(self, row: Row, item: int) -> None:
        """Take in a row of an item."""
        key = (row[1], row[0])
        if key in self.keys:
            self.followers.append((row, item))
            return
        self.keys[key] = len(self.rows)
        self.rows.append(row)
        self.items.append(item)


@dataclass(slots=True)
class Batch:
    """What is written in one transaction."""

    items: list[Item] = field(default_factory=list)
    row_counts: list[int] = field(default_factory=list)
    rows: dict[str, Rows] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    counts: Counter[CountKey] = field(default_factory=Counter)
    unmapped: dict[tuple[int | None, str], tuple[int, str, datetime]] = field(default_factory=dict)
    #: Rejections that were taken up and turned out to be events: nothing of them is refused any more.
    understood: list[int] = field(default_factory=list)
    #: Rejections that stay whatever becomes of their item here: another part of the same batch says so.
    staying: frozenset[int] = frozenset()
    #: When devices' frame counters began anew; a device may have joined more than once.
    restarts: dict[int, list[datetime]] = field(default_factory=dict)
    #: Since when nothing can have been missed on the way from the network servers to us; None if that is not known.
    unbroken_since: datetime | None = None
    #: Tells this batch from the one before, should the answer to its commit be lost.
    token: int = field(default_factory=lambda: secrets.randbits(63))

    def __len__(self) -> int:
        """How many items have come in, whatever became of them."""
        return len(self.items) + len(self.rejections)

    def add_item(self, item: Item, rows: list[tuple[str, Row]]) -> None:
        """Take in an item that became rows of datasets."""
        number = len(self.items)
        self.items.append(item)
        self.row_counts.append(len(rows))
        self.add_rows(rows, number)

    def add_rows(self, rows: Iterable[tuple[str, Row]], owner: int = NOBODY) -> None:
        """Take in rows of an item, or some that decide no outcome."""
        for dataset, row in rows:
            found = self.rows.get(dataset)
            if found is None:
                found = self.rows[dataset] = Rows()
            found.add(row, owner)

    def receive(self, door: str, kind: str, count: int) -> None:
        """Count items at the door, before anything is known of them."""
        self.counts[CountKey(door, kind, "", "received", "")] += count

    def reject(self, item: Item, refusal: Refusal, *, whole_item: bool) -> None:
        """Record a refusal, and count it once: as a rejected item, or as a refused value beside stored ones."""
        self.rejections.append(Rejection(item, refusal, whole_item))
        what = "rejected" if whole_item else "value_refused"
        self.counts[CountKey(item.door, item.kind, "", what, refusal.reason)] += 1

    def count_event(self, door: str, kind: str, event: str) -> None:
        """Count something the network tells that is no reading."""
        self.counts[CountKey(door, kind, "", "event", event)] += 1

    def restart(self, device: int, at: datetime) -> None:
        """Note that a device's frame counter began anew."""
        self.restarts.setdefault(device, []).append(at)

    def count_unmapped(self, device: int | None, name: str, value: Any, at: datetime) -> None:
        """Count a field that belongs to no property, with its last value."""
        key = (device, name[:200])
        if key in self.unmapped or len(self.unmapped) < UNMAPPED_PER_BATCH:
            # As text and not as it came: what a batch holds until its commit has to be small.
            self.unmapped[key] = (self.unmapped.get(key, (0,))[0] + 1, _last_value(value), at)

    def split(self) -> Iterator["Batch"]:
        """The same in parts: two halves of the items with rows, and one part for all the rest."""
        rest = Batch(rejections=self.rejections, counts=self.counts.copy(), unmapped=self.unmapped)
        rest.restarts, rest.unbroken_since, rest.understood = self.restarts, self.unbroken_since, self.understood
        staying = self.staying.union(number for r in self.rejections if (number := r.stays) is not None)
        rows_of: dict[int, list[tuple[str, Row]]] = {}
        for dataset, rows in self.rows.items():
            for row, owner in [*zip(rows.rows, rows.items, strict=True), *rows.followers]:
                rows_of.setdefault(owner, []).append((dataset, row))
        middle = (len(self.items) + 1) // 2
        for numbers in (range(middle), range(middle, len(self.items))):
            part = Batch(unbroken_since=self.unbroken_since, staying=staying)
            for number in numbers:
                item = self.items[number]
                part.receive(item.door, item.kind, 1)
                rest.receive(item.door, item.kind, -1)
                part.add_item(item, rows_of[number])
            if part.items:
                yield part
        rest.add_rows(rows_of.get(NOBODY, ()))
        if rest.rows or rest.rejections or rest.unmapped or rest.restarts or any(rest.counts.values()):
            yield rest

    @property
    def is_one_item(self) -> bool:
        """Whether there is one item with its rows, and nothing beside it."""
        owners = (owner for rows in self.rows.values() for owner in rows.items)
        return len(self.items) == 1 and not self.rejections and NOBODY not in owners

    def refused(self, refusal: Refusal) -> "Batch":
        """The same with all items that had rows rejected instead."""
        refused = Batch(rejections=[*self.rejections], counts=self.counts.copy(), unmapped=self.unmapped)
        refused.understood, refused.staying = self.understood, self.staying
        for item in self.items:
            refused.reject(item, refusal, whole_item=True)
        return refused

    def without(self, refusals: dict[str, Refusal]) -> "Batch":
        """The same, of one item, with its rows of some datasets refused beside the others."""
        rows = {dataset: rows for dataset, rows in self.rows.items() if dataset not in refusals}
        if not rows:
            return self.refused(next(iter(refusals.values())))
        counts = [sum(len(each.rows) + len(each.followers) for each in rows.values())]
        left = Batch(self.items, counts, rows, [*self.rejections], self.counts.copy(), self.unmapped)
        left.understood, left.staying = self.understood, self.staying
        for refusal in refusals.values():
            left.reject(self.items[0], refusal, whole_item=False)
        return left


def _last_value(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()[:200]
    except TypeError:
        return "nested too deep to be shown"
