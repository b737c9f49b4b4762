"""What the database made of a batch: the outcome of each item, and what was kept out."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from usp.ingest.batch import NOBODY, Batch, CountKey, Item, Rejection
from usp.ingest.normalise import Row
from usp.ingest.refusal import Refusal, shown
from usp.ingest.statements import DatasetStatements
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.reasons import Reason

#: What network servers tell of an uplink beside its reading.
RADIO = frozenset(("rssi", "snr", "frame_counter", "frames_lost"))
#: Upper bounds, in seconds, of the histogram of delays from measuring to commit.
DELAY_BOUNDS_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_DELAY_BOUNDS = [timedelta(seconds=s) for s in DELAY_BOUNDS_S]
_DELAY_NAMES = [*(f"{s:g}" for s in DELAY_BOUNDS_S), "inf"]
#: Whoever sees a device sees how many of its items were refused: not those that tell of nothing but these.
_HIDDEN = [d.name for d in DATASETS.values() if not d.visible(Visibility.OPEN)]


class Taken(NamedTuple):
    """What became of a rejection that was taken up: whose it is, and why it is refused today, if it is."""

    device: int | None
    refusal: Refusal | None


class DeviceDay(NamedTuple):
    """A device and a day of UTC."""

    device: int
    day: date


class Settled:
    """What the database made of a batch: the outcome of each item, and what was kept out."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._not_new: Counter[int] = Counter()
        self._conflicts: dict[int, list[Refusal]] = {}
        self._all_conflicts: dict[int, list[Refusal]] = {}
        self.rejections: list[Rejection] = []
        self.counts: Counter[CountKey] = Counter()
        #: Items of known devices by the day on which they came; what an operator has replayed is none of theirs.
        self.duplicates: Counter[DeviceDay] = Counter()

    def written(self, dataset: str, rows: list[Row], inserted: int) -> None:
        """Count the rows that are new, and how late all of them came."""
        self.counts[CountKey("", "", dataset, "rows", "")] += inserted
        now = datetime.now(UTC)
        # What was measured over an interval is there when the interval is over: `time` is its start.
        lates = (now - row[0] - timedelta(seconds=row[2]) for row in rows) if DATASETS[dataset].interval else None
        delays = Counter(bisect_left(_DELAY_BOUNDS, late) for late in lates or (now - row[0] for row in rows))
        for bucket, count in delays.items():
            self.counts[CountKey("", "", dataset, "delay", _DELAY_NAMES[bucket])] += count

    def nothing_new(self, item: int) -> None:
        """A row of the item filled nothing that was empty."""
        if item != NOBODY:
            self._not_new[item] += 1

    def conflict(
        self, item: int, statements: DatasetStatements, row: Row, names: list[str], standing: Mapping[str, Any]
    ) -> None:
        """Values of the row, or its period, contradict what stands."""
        if item == NOBODY:
            return
        for name in names:
            # Another gateway heard the same frame in another way; radio data decide nothing.
            if name in RADIO and self._batch.items[item].with_radio:
                continue
            offered = row[statements.columns.index(name)]
            detail = f"At {row[0].isoformat()} stands {shown(standing[name])}, got {shown(offered)}."
            refusal = Refusal(Reason.CONFLICTING_VALUE, detail, name, statements.dataset.name)
            self._conflicts.setdefault(item, []).append(refusal)

    def close(self) -> None:
        """Give each item its outcome: stored, where any of its rows is new or completed; duplicate; rejected."""
        batch = self._batch
        self._all_conflicts = self._conflicts.copy()
        stored = Counter((item.door, item.kind) for item in batch.items)
        for (door, kind), count in stored.items():
            self.counts[CountKey(door, kind, "", "stored", "")] += count
        hidden = self._hidden() if self._not_new else Counter[int]()
        for number, count in self._not_new.items():
            if count < batch.row_counts[number]:
                continue
            item = batch.items[number]
            self.counts[CountKey(item.door, item.kind, "", "stored", "")] -= 1
            conflicts = self._conflicts.pop(number, None)
            if conflicts is None:
                self.counts[CountKey(item.door, item.kind, "", "duplicate", "")] += 1
                if item.replay is None and item.device is not None and hidden[number] < batch.row_counts[number]:
                    self.duplicates[DeviceDay(item.device, _day(item))] += 1
            else:
                self._reject(item, _together(conflicts), whole_item=True)
        for number, conflicts in self._conflicts.items():
            for refusal in conflicts:
                self._reject(batch.items[number], refusal, whole_item=False)

    def rejected(self) -> Counter[DeviceDay]:
        """Items of known devices that were refused, by the day on which they came."""
        return Counter(
            DeviceDay(r.item.device, _day(r.item))
            for r in (*self._batch.rejections, *self.rejections)
            if r.whole_item and r.item.device is not None and r.item.replay is None
            if r.refusal.dataset not in _HIDDEN
        )

    def replayed(self) -> dict[int, Taken]:
        """The rejections that were taken up again in this batch.

        Of an item that was stored but for one value, only that value counts: what else is refused of it stands in
        rejections of its own.
        """
        batch = self._batch
        found = {number: Taken(None, None) for number in batch.understood}
        for item in batch.items:
            if item.replay is not None and item.replay.rejection not in batch.staying:
                found.setdefault(item.replay.rejection, Taken(item.device, None))
        for number, conflicts in self._all_conflicts.items():
            item = batch.items[number]
            if item.replay is not None and item.replay.field is not None:
                for refusal in filter(item.replay.contradicted, conflicts):
                    found[item.replay.rejection] = Taken(item.device, refusal)
        for rejection in (*batch.rejections, *filter(_is_whole, self.rejections)):
            if rejection.stays is not None:
                found[rejection.stays] = Taken(rejection.item.device, rejection.refusal)
        return found

    def _hidden(self) -> Counter[int]:
        """How many rows of each item belong to datasets that not everybody sees."""
        found = [self._batch.rows[name] for name in _HIDDEN if name in self._batch.rows]
        return Counter(owner for rows in found for owner in (*rows.items, *(owner for _, owner in rows.followers)))

    def _reject(self, item: Item, refusal: Refusal, *, whole_item: bool) -> None:
        self.rejections.append(Rejection(item, refusal, whole_item))
        what = "rejected" if whole_item else "value_refused"
        self.counts[CountKey(item.door, item.kind, "", what, refusal.reason.value)] += 1


def _together(conflicts: list[Refusal]) -> Refusal:
    """One refusal for all values of an item that contradict what stands."""
    first, *others = conflicts
    if not others:
        return first
    return first._replace(detail=f"{first.detail} So do {', '.join(other.field for other in others)}.")


def _day(item: Item) -> date:
    return item.received_at.astimezone(UTC).date()


def _is_whole(rejection: Rejection) -> bool:
    """Whether it decides about an item that is taken up as a whole."""
    replay = rejection.item.replay
    return rejection.whole_item and replay is not None and replay.field is None
