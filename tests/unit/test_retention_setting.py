"""How long raw readings are kept is a setting, and what is older is refused dataset by dataset."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from usp.errors import SettingsError
from usp.ingest.normalise import Normaliser
from usp.ingest.retention import Horizon
from usp.ingest.times import Oldest
from usp.models.datasets import DATASETS
from usp.models.profile import DeviceProfile
from usp.models.reasons import Reason
from usp.models.retention import parse_retention
from usp.settings import load_settings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LAMP = Normaliser(DeviceProfile(name="lamp", title="", kind="lamppost", interval=3600))


def days(count: float) -> timedelta:
    """So many days."""
    return timedelta(days=count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),
        ("", {}),
        ("forever", {}),
        ("400d", dict.fromkeys(DATASETS, days(400))),
        ("2Y", dict.fromkeys(DATASETS, days(730))),
        ("noise=90d, wifi=4w", {"noise": days(90), "wifi": days(28)}),
        (
            "default=1y,energy=forever,noise=7d",
            {name: days(365) for name in DATASETS if name != "energy"} | {"noise": days(7)},
        ),
    ],
)
def test_a_retention_is_for_all_datasets_or_for_each(text: str | None, expected: dict[str, timedelta]) -> None:
    """What is not named is kept for as long as the default, and without one for ever."""
    assert parse_retention(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nois=90d", r"USP_RETENTION: there is no dataset 'nois'; the nearest is noise"),
        ("defualt=90d", r"the nearest is default"),
        ("90", r"got '90', expected a number and d, w or y, such as 90d, 52w or 2y .*, or forever"),
        ("noise=3mo", r"got '3mo' for noise, expected a number and d, w or y"),
        ("wifi=", r"got '' for wifi"),
        ("noise=90d,", r"got ''"),
        ("6d", r"got '6d', expected 7d to 100y, or forever"),
        ("noise=101y", r"got '101y' for noise, expected 7d to 100y"),
        ("noise=90d,noise=91d", r"noise is given twice"),
        ("400d,default=2y", r"default is given twice"),
    ],
)
def test_a_mistaken_retention_says_what_would_be_right(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """Readings are never dropped for a slip of the pen."""
    monkeypatch.setenv("USP_RETENTION", text)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_an_item_is_refused_where_a_dataset_does_not_reach_and_stored_where_it_does() -> None:
    """Air quality is kept for longer than noise: the same item fills one and is too old for the other."""
    oldest = Horizon({"noise": days(30), "air_quality": days(90)}).oldest(NOW)
    item = {"time": (NOW - days(60)).isoformat(), "no2": 31.0, "laeq": 61.5, "lafmax": 70.0}
    result = LAMP(1, item, NOW, None, oldest)
    assert [name for name, _ in result.rows] == ["air_quality"]
    (refusal,) = result.refused
    assert (refusal.reason, refusal.dataset, refusal.field) == (Reason.TOO_OLD, "noise", "")
    assert refusal.detail == "Got 2026-04-02T12:00:00+00:00; noise is taken in from 2026-05-02T12:00+00:00 on."


@pytest.mark.parametrize(("age", "stored"), [(days(30), True), (days(30) + timedelta(seconds=1), False)])
def test_the_age_of_an_interval_is_that_of_the_time_sent(age: timedelta, *, stored: bool) -> None:
    """An hour that ended within the retention is taken in, although it began before."""
    oldest = Horizon({"noise": days(30)}).oldest(NOW)
    result = LAMP(1, {"time": (NOW - age).isoformat(), "laeq": 61.5}, NOW, None, oldest)
    assert bool(result.rows) is stored


def test_nothing_comes_in_where_raw_rows_are_gone() -> None:
    """Where a retention was made longer or unset, what was dropped does not begin to come back."""
    gone = NOW - days(10)
    oldest = {"noise": Oldest(gone, gone)}
    for ends, stored in ((NOW - days(9), 1), (gone + timedelta(minutes=59), 0), (gone - days(1), 0)):
        result = LAMP(1, {"time": ends.isoformat(), "laeq": 61.5}, NOW, None, oldest)
        assert len(result.rows) == stored, ends


def test_without_a_retention_only_the_century_counts() -> None:
    """Nothing is too old until somebody says so."""
    assert Horizon({}).oldest(NOW) == {}
    assert Horizon({"noise": days(30)}).oldest(NOW).keys() == {"noise"}
