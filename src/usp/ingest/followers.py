"""Rows of one batch that meet the key of an earlier one of the same batch, applied in order of arrival."""

import struct
from datetime import datetime
from typing import Any

from usp.ingest.normalise import Row
from usp.ingest.settled import Settled
from usp.ingest.statements import DatasetStatements
from usp.models.dataset import Property, ValueType

_REAL = struct.Struct("f")


def apply_followers(
    statements: DatasetStatements,
    standing: dict[tuple[int, datetime], dict[str, Any]],
    followers: list[tuple[Row, int]],
    settled: Settled,
) -> list[Row]:
    """Complete the standing rows in memory; returns, for each key that gained something, a row of just that."""
    fillers: dict[tuple[int, datetime], Row] = {}
    for row, item in followers:
        key = (row[1], row[0])
        stands = standing[key]
        if statements.dataset.interval and _REAL.unpack(_REAL.pack(row[2]))[0] != stands["period"]:
            settled.conflict(item, statements, row, ["period"], stands)
            settled.nothing_new(item)
            continue
        filled, conflicts = _compare(statements, stands, row)
        if conflicts:
            settled.conflict(item, statements, row, conflicts, stands)
        if not filled:
            settled.nothing_new(item)
            continue
        filler = fillers.get(key)
        if filler is None:
            filler = fillers[key] = [*row[:-4], 0, row[-3], row[-2], 0]
            for prop in statements.dataset.properties:
                filler[statements.columns.index(prop.name)] = None
        for prop in filled:
            bit = statements.dataset.bit[prop.name]
            column = statements.columns.index(prop.name)
            stands[prop.name] = _as_stored(prop, row[column])
            filler[column] = row[column]
            filler[-4] |= row[-4] & bit
            filler[-3] |= row[-3] & statements.dataset.bottom_bit.get(prop.name, 0)
            filler[-1] |= bit
    return list(fillers.values())


def _compare(statements: DatasetStatements, stands: dict[str, Any], row: Row) -> tuple[list[Property], list[str]]:
    """The properties the row would fill, and the names of those it contradicts."""
    filled, conflicts = [], []
    for prop in statements.dataset.properties:
        value = row[statements.columns.index(prop.name)]
        if value is None:
            continue
        if stands[prop.name] is None:
            filled.append(prop)
        elif stands[prop.name] != _as_stored(prop, value):
            conflicts.append(prop.name)
    return filled, conflicts


def _as_stored(prop: Property, value: Any) -> Any:
    """Values compare as they are stored: a `real` keeps 24 bits."""
    if prop.type is ValueType.REAL:
        return _REAL.unpack(_REAL.pack(value))[0]
    return float(value) if prop.type is ValueType.DOUBLE else value
