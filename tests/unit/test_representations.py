"""How an export is cut into slices, and which format an answer comes in."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usp.api.representations import FORMATS
from usp.api.representations.copying import slices
from usp.api.representations.objects import body
from usp.api.selection import Column, ColumnType, Selection

Parts: TypeAlias = Generator[tuple[Any, ...], int, None]

START = datetime(1, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, tzinfo=UTC)
times = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def selection(start: datetime, end: datetime, *, limit: int | None = None, descending: bool = False) -> Selection:
    """Readings of a window."""
    return Selection(
        name="noise",
        sql="SELECT",
        values=("first", start, end, "last"),
        columns=(Column("time", ColumnType.TIME),),
        limit=limit,
        cursor=str,
        span=(1, 2),
        descending=descending,
    )


def told(parts: Parts, counts: Iterable[int]) -> Iterator[Any]:
    """The slices that follow when each has turned out to have so many rows."""
    with suppress(StopIteration):
        for count in counts:
            yield parts.send(count)


@given(times, times, st.lists(st.integers(0, 10_000_000)), st.booleans())
def test_slices_are_the_window(one: datetime, other: datetime, counts: list[int], descending: bool) -> None:  # noqa: FBT001
    """Each moment of the window is asked for once, in order, however many rows there turn out to be."""
    start, end = sorted((one, other))
    parts = slices(selection(start, end, descending=descending))
    found = [next(parts), *told(parts, [*counts, *([0] * 100)])]
    assert all((first, last) == ("first", "last") for first, *_, last in found)
    windows = [(low, high) for _, low, high, _ in found]
    if descending:
        windows.reverse()
    assert windows[0][0] == start
    assert windows[-1][1] == end
    assert all(low < high for low, high in windows) or start == end
    assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_empty_years_are_few_questions() -> None:
    """Where nothing is found, slices grow: ten thousand years are a dozen statements."""
    parts = slices(selection(START, END))
    next(parts)
    assert len(list(told(parts, [0] * 100))) < 15


def test_too_many_rows_still_come_to_an_end() -> None:
    """However many there are at one time, the next slice begins later."""
    parts = slices(selection(START, START + timedelta(days=2)))
    ends = [next(parts)[2], *(high for _, _, high, _ in told(parts, [1_000_000_000] * 50))]
    assert len(ends) == 51
    assert ends == sorted(set(ends))


@pytest.mark.parametrize("rows", [100_000, 300_000])
def test_many_rows_make_short_slices(rows: int) -> None:
    """A slice is about as long as a hundred thousand rows take."""
    parts = slices(selection(START, START + timedelta(days=30)))
    _, low, high, _ = next(parts)
    assert high - low == timedelta(days=1)
    _, low, high, _ = parts.send(rows)
    assert high - low == pytest.approx(timedelta(days=100_000 / rows), abs=timedelta(seconds=1))


def test_with_a_limit_there_is_one_question() -> None:
    """The limit is that of the whole."""
    parts = slices(selection(START, END, limit=5))
    assert next(parts) == ("first", START, END, "last")
    with pytest.raises(StopIteration):
        parts.send(5)


def test_formats_have_names_and_media_types_of_their_own() -> None:
    """None hides another."""
    assert len({f.name for f in FORMATS}) == len({f.media_type for f in FORMATS}) == len(FORMATS) == 5
    assert all(f.content_type.startswith(f.media_type) for f in FORMATS)


@pytest.mark.parametrize("lines", [[], ['{"a":1}'], ['{"a":1}', "{}"]])
def test_a_body_is_json(lines: list[str]) -> None:
    """With and without rows, and with and without anything before and after them."""
    rows = [orjson.loads(line) for line in lines]
    assert orjson.loads(body({}, "data", lines, {})) == {"data": rows}
    assert orjson.loads(body({"x": "}"}, "data", lines, {"next": None})) == {"x": "}", "data": rows, "next": None}
