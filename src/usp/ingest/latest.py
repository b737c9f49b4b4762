"""Fold a batch's rows to one row for each device: the newest value of each property, with its time and flags."""

from usp.ingest.normalise import Row
from usp.models.dataset import BOTTOM_CODED_SHIFT, VALUE_BOTTOM_CODED, VALUE_OUT_OF_RANGE, Dataset

_ROW_FLAGS = (1 << BOTTOM_CODED_SHIFT) - 1


def fold_latest(dataset: Dataset, rows: list[Row]) -> list[Row]:
    """Rows for the latest table. A row counts with the properties in its last element, the bits present."""
    newest: dict[int, list[Row]] = {}
    for row in rows:
        device = row[1]
        candidates = newest.get(device)
        if candidates is None:
            newest[device] = [row]
        elif len(candidates) == 1 and row[0] > candidates[0][0] and not candidates[0][-1] & ~row[-1]:
            candidates[0] = row  # newer, and nothing is missing that the older one had
        else:
            candidates.append(row)
    return [_fold_device(dataset, device, candidates) for device, candidates in newest.items()]


def _fold_device(dataset: Dataset, device: int, candidates: list[Row]) -> Row:
    if len(candidates) > 1:
        candidates.sort(key=lambda row: row[0], reverse=True)
    first_value = 3 if dataset.interval else 2
    folded: Row = [device]
    for offset, (name, bit) in enumerate(dataset.bit.items()):
        for row in candidates:
            if row[-1] & bit:
                value_flags = row[-3] & _ROW_FLAGS
                if row[-4] & bit:
                    value_flags |= VALUE_OUT_OF_RANGE
                if row[-3] & dataset.bottom_bit.get(name, 0):
                    value_flags |= VALUE_BOTTOM_CODED
                folded += [row[first_value + offset], row[0], value_flags]
                if dataset.interval:
                    folded.append(row[2])
                break
        else:
            folded += [None] * (4 if dataset.interval else 3)
    folded.append(max(row[-2] for row in candidates))
    return folded
