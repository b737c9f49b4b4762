"""The fold to newest values, against a computation that is slow and plain."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usp.ingest.latest import fold_latest
from usp.ingest.normalise import Row
from usp.ingest.statements import DatasetStatements
from usp.models.dataset import VALUE_BOTTOM_CODED, VALUE_OUT_OF_RANGE, Dataset
from usp.models.datasets import DATASETS

START = datetime(2026, 11, 20, tzinfo=UTC)
#: A plain dataset, one of intervals, and one whose counts are bottom-coded.
KINDS = [DATASETS["air_quality"], DATASETS["noise"], DATASETS["wifi"]]
#: The low bits of a row's flags, which its values inherit.
ROW_FLAGS = 0b1111


@st.composite
def rows(draw: st.DrawFn, dataset: Dataset) -> list[Row]:
    """Rows with unique keys, in the order of their arrival and in any order of time, each with some properties."""
    keys = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6)), unique=True, max_size=15))
    made: list[Row] = []
    every = (1 << len(dataset.properties)) - 1
    for number, (device, minute) in enumerate(keys):
        bits = draw(st.integers(0, every))
        values = [number * 100 + i if bits >> i & 1 else None for i in range(len(dataset.properties))]
        flags = draw(st.integers(0, ROW_FLAGS))
        for name, bit in dataset.bottom_bit.items():
            if bits & dataset.bit[name] and draw(st.booleans()):
                flags |= bit
        received_at = START + timedelta(hours=1, seconds=number)
        period = [float(number)] if dataset.interval else []
        flagged = bits & draw(st.integers(0, every))
        time = START + timedelta(minutes=minute)
        made.append([time, device, *period, *values, flagged, flags, received_at, bits])
    return made


def naive(dataset: Dataset, given_rows: list[Row]) -> dict[int, dict[str, Any]]:
    """For each device and each property: look through all rows for the newest that has it."""
    columns = DatasetStatements(dataset).columns
    named = [dict(zip([*columns, "bits"], row, strict=True)) for row in given_rows]
    newest: dict[int, dict[str, Any]] = {}
    for device in {row["device"] for row in named}:
        mine = [row for row in named if row["device"] == device]
        folded: dict[str, Any] = {"device": device, "received_at": max(row["received_at"] for row in mine)}
        for name, bit in dataset.bit.items():
            having = [row for row in mine if row["bits"] & bit]
            best = max(having, key=lambda row: row["time"], default=None)
            own = None
            if best is not None:
                own = best["flags"] & ROW_FLAGS
                own |= VALUE_OUT_OF_RANGE if best["flagged"] & bit else 0
                own |= VALUE_BOTTOM_CODED if best["flags"] & dataset.bottom_bit.get(name, 0) else 0
            folded[name] = best and best[name]
            folded[f"{name}_time"] = best and best["time"]
            folded[f"{name}_flags"] = own
            if dataset.interval:
                folded[f"{name}_period"] = best and best["period"]
        newest[device] = folded
    return newest


@pytest.mark.parametrize("dataset", KINDS, ids=lambda dataset: dataset.name)
@given(data=st.data())
def test_each_property_gets_its_newest_value_with_its_own_time_and_flags(dataset: Dataset, data: st.DataObject) -> None:
    """One row for each device, whatever the order in which its rows came and whichever properties they have."""
    given_rows = data.draw(rows(dataset))
    before = [row.copy() for row in given_rows]
    columns = DatasetStatements(dataset).latest_columns
    folded = [dict(zip(columns, row, strict=True)) for row in fold_latest(dataset, given_rows)]
    assert {row["device"]: row for row in folded} == naive(dataset, given_rows)
    assert len({row["device"] for row in folded}) == len(folded)
    assert given_rows == before
