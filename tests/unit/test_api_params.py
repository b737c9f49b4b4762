"""What URL text becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usp.api import examples, params, values
from usp.api.ingest_health import DELAY_EDGES, quantile
from usp.api.paging import name_cursor, parse_name_cursor, parse_reading_cursor, reading_cursor
from usp.api.params import CATEGORIES, LATEST, READINGS, latest_query, reading_query
from usp.api.problems import STATUS, NotAcceptable, NothingThere, UnknownName, status_of
from usp.api.representations import choose
from usp.errors import DatabaseUnavailable, QueryError, UspError
from usp.ingest.settled import DELAY_BOUNDS_S
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.query import BBox, Near, Page, Places, TimeWindow
from usp.registry import MILAN, read_devices

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AIR = DATASETS["air_quality"]
TIMES = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def query(**texts: str) -> Any:
    """A query for air quality, as of NOW."""
    return reading_query({k.rstrip("_"): v for k, v in texts.items()}, AIR, paged=True, now=NOW)


def test_nothing_asked_is_the_last_day_of_everything() -> None:
    """The contract's defaults."""
    asked = query()
    assert asked.window == TimeWindow(NOW - DAY, NOW)
    assert asked.page == Page(1000)
    assert asked.places == Places()
    assert asked.properties == AIR.properties
    assert reading_query({}, AIR, paged=False, now=NOW).page.limit is None


def test_everything_asked_is_frozen() -> None:
    """Each parameter has its place in the query."""
    asked = query(
        from_="2026-11-19T10:00:00+01:00",
        to="2026-11-20",
        device="a1,b2,a1",
        site="s1",
        kind="lamppost",
        category="fast,normal",
        bbox="9,45,10,46",
        near="9.2,45.4,300",
        where="no2:31",
        properties="no2,pm1",
        order="desc",
        limit="5",
    )
    assert asked.window == TimeWindow(datetime(2026, 11, 19, 9, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
    assert asked.places == Places(
        devices=("a1", "b2"),
        sites=("s1",),
        kinds=("lamppost",),
        categories=("fast", "normal"),
        bbox=BBox(9, 45, 10, 46),
        near=Near(9.2, 45.4, 300),
    )
    assert [p.name for p in asked.properties] == ["no2", "pm1"]
    assert asked.where[0].value == 31.0
    assert asked.page == Page(5, descending=True)


def test_hidden_properties_are_not_among_the_defaults() -> None:
    """A stranger's query never names what only others may see."""
    for paged in (True, False):
        asked = latest_query({}, DATASETS["charging"], paged=paged)
        assert all(p.visibility is Visibility.OPEN for p in asked.properties)


@given(TIMES, st.sampled_from(["+00:00", "-07:30", "+13:45", "+23:59"]))
def test_times_keep_their_moment(time: datetime, offset: str) -> None:
    """Whatever the offset, the moment is the same."""
    text = time.astimezone(datetime.fromisoformat(f"2000-01-01T00:00:00{offset}").tzinfo).isoformat()
    assert values.moment("from", text) == time
    assert values.moment("from", text.replace("+", " ")) == time


@given(TIMES, TIMES, TIMES, st.from_regex(r"[a-z0-9][a-z0-9-]{1,62}", fullmatch=True))
def test_a_cursor_comes_back(time: datetime, one: datetime, other: datetime, device: str) -> None:
    """Time, device and window survive the way through a URL."""
    if one == other:
        return
    window = TimeWindow(min(one, other), max(one, other))
    row = {"time": time.isoformat().replace("+00:00", "Z"), "device": device}
    assert parse_reading_cursor(reading_cursor(window, row)) == (time, device, window)
    assert parse_name_cursor(name_cursor("device", row)) == device


@given(st.text(max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    """Whatever stands in a parameter, it is a query or a 400, never an accident."""
    for name in READINGS:
        try:
            reading_query({name: text}, AIR, paged=True, now=NOW)
            reading_query({name: text}, DATASETS["parking"], paged=False, now=NOW)
            choose(text, None)
        except QueryError as error:
            told = error
            assert told.parameter
            assert len(str(told)) < 2000


@given(st.text(max_size=60))
def test_no_accept_header_is_too_strange(text: str) -> None:
    """It chooses a format, or is refused."""
    try:
        choose(None, text)
    except NotAcceptable as error:
        told = error.detail
        assert "format=" in told


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("application/json;q=0.5, text/csv;q=0.6", "csv"),
        ("application/json;q=0, */*", "csv"),
        ("text/html, */*;q=0.1", "json"),
    ],
)
def test_accept_weighs(accept: str | None, name: str) -> None:
    """The most specific range counts, the heaviest format wins, and JSON where all are equal."""
    assert choose(None, accept).name == name


def test_every_property_can_be_compared() -> None:
    """Each type of column takes a text, and refuses one that it cannot hold."""
    for dataset in DATASETS.values():
        for prop in dataset.properties:
            good = prop.states[0] if prop.states else "true" if prop.type.value == "boolean" else "12.1"
            values.stored_value(prop, good)
            with pytest.raises(QueryError):
                values.stored_value(prop, "nonsense")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueryError("x"), 400),
        (UnknownName("x", parameter="p", suggestion=None), 400),
        (NothingThere("x"), 404),
        (NotAcceptable("x"), 406),
        (DatabaseUnavailable(), 503),
        (UspError(), 500),
        (ZeroDivisionError(), 500),
    ],
)
def test_one_table_tells_the_status(error: Exception, status: int) -> None:
    """The first class that fits decides."""
    assert status_of(error) == status
    assert list(STATUS)[-1] is Exception


def test_unknown_parameters_are_refused_with_the_nearest() -> None:
    """Once each, all known, none empty."""
    assert params.read([("limit", "5")], LATEST) == {"limit": "5"}
    with pytest.raises(UnknownName) as caught:
        params.read([("lmit", "5")], LATEST)
    assert caught.value.suggestion == "limit"
    with pytest.raises(QueryError, match="twice; once is enough"):
        params.read([("limit", "5"), ("limit", "5")], LATEST)
    with pytest.raises(QueryError, match="twice; a list is written device=a,b"):
        params.read([("device", "a"), ("device", "b")], LATEST)


def test_categories_are_those_of_all_kinds() -> None:
    """Each once."""
    assert len(set(CATEGORIES)) == len(CATEGORIES) == 10


def test_delays_are_estimated_within_their_bucket() -> None:
    """Half of what was counted lies below the median."""
    assert quantile([], 0.5) is None
    assert quantile([(0.5, 10)], 0.5) == 0.25
    assert quantile([(0.5, 10), (60.0, 10)], 0.75) == 45.0
    assert quantile([(float("inf"), 1)], 0.5) == 3600.0


def test_delays_are_read_as_they_are_counted() -> None:
    """Ingest and health never import each other; their buckets are the same all the same."""
    assert (0, *DELAY_BOUNDS_S) == DELAY_EDGES


def test_examples_are_of_the_demonstration() -> None:
    """The documentation's device stands at the documentation's site, within its box and circle."""
    (lamp,) = [d for d in read_devices(MILAN / "devices.csv") if d.name == examples.DEVICE]
    assert (lamp.site, lamp.kind) == (examples.SITE, "lamppost")
    shown = examples.JSON["readings"]["data"][0]
    assert (shown["lon"], shown["lat"]) == (lamp.lon, lamp.lat)
