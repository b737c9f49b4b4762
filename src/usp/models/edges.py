"""The edges of buckets of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import overload
from zoneinfo import ZoneInfo

from usp.errors import QueryError
from usp.models.bucket import Width
from usp.models.query import TimeWindow

HOUR = timedelta(hours=1)

#: More buckets than this in one answer are asked for by mistake.
MAX_BUCKETS = 200_000

#: Widths that are so long, always.
FIXED = {
    Width.QUARTER_HOUR: timedelta(minutes=15),
    Width.HALF_HOUR: timedelta(minutes=30),
    Width.HOUR: HOUR,
    Width.THREE_HOURS: 3 * HOUR,
    Width.SIX_HOURS: 6 * HOUR,
    Width.TWELVE_HOURS: 12 * HOUR,
}
_LEAST_DAYS = {Width.WEEK: 7, Width.MONTH: 28, Width.YEAR: 365}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def full_hour(at: datetime) -> datetime:
    """The beginning of the hour in which a time lies."""
    return at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Regular(Sequence[datetime]):
    """Edges that lie equally far apart; a year of hours is not written out."""

    first: datetime
    width: timedelta
    size: int

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, at: int) -> datetime: ...

    @overload
    def __getitem__(self, at: slice) -> "Regular": ...

    def __getitem__(self, at: int | slice) -> "datetime | Regular":
        if isinstance(at, slice):
            listed = range(self.size)[at]
            return Regular(self.first + listed.start * self.width, self.width, len(listed))
        return self.first + range(self.size)[at] * self.width


def edges(width: Width, window: TimeWindow, zone: ZoneInfo) -> Sequence[datetime]:
    """The edges of all buckets that meet the window, in UTC: below a day aligned to UTC, from a day to days of `zone`.

    Weeks begin on Monday (ISO 8601). Raises QueryError where the zone's offset is not whole hours, or where there
    are too many buckets.
    """
    if width is Width.WHOLE:
        return [window.start, window.end]
    try:
        return _fixed(FIXED[width], window) if width in FIXED else _calendar(width, window, zone)
    except OverflowError:
        raise QueryError("`from` and `to` leave no room for whole buckets.", parameter="from") from None


def _fixed(width: timedelta, window: TimeWindow) -> Regular:
    first = window.start - (window.start - EPOCH) % width
    count = -((first - window.end) // width)
    _bounded(count)
    found = Regular(first, width, count + 1)
    _ = found[-1]  # beyond the last year there are no moments
    return found


def _calendar(width: Width, window: TimeWindow, zone: ZoneInfo) -> list[datetime]:
    start = window.start.astimezone(zone).date()
    if width is Width.WEEK:
        start -= timedelta(days=start.weekday())
    elif width is Width.MONTH:
        start = start.replace(day=1)
    elif width is Width.YEAR:
        start = start.replace(month=1, day=1)
    _bounded((window.end - window.start).days // _LEAST_DAYS.get(width, 1))
    found: list[datetime] = []
    while not found or found[-1] < window.end:
        found.append(datetime.combine(start, time(), zone).astimezone(UTC))
        if width is Width.YEAR:
            start = start.replace(year=start.year + 1)
        elif width is Width.MONTH:
            start = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            start += timedelta(days=7 if width is Width.WEEK else 1)
    if any((edge - EPOCH) % HOUR for edge in found):
        raise QueryError(
            f"`tz` {zone.key} has an offset of no whole hours, and days are made of hours of UTC; "
            "take a zone of whole hours, or buckets below a day.",
            parameter="tz",
        )
    # Where the clock jumps over midnight, two days may begin at one moment.
    return [found[0], *(later for earlier, later in pairwise(found) if later > earlier)]


def _bounded(count: int) -> None:
    if count > MAX_BUCKETS:
        raise QueryError(
            f"These are {count:,} buckets, and {MAX_BUCKETS:,} at most are told at once: take wider ones, or a "
            "shorter window.",
            parameter="bucket",
        )
