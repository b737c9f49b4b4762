"""When something was measured: what devices write, as a moment in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from usp.ingest.refusal import Refused, shown
from usp.models.dataset import RowFlag
from usp.models.reasons import Reason

FUTURE_TOLERANCE = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
#: Epoch times from here on are milliseconds; as seconds this is the year 5138.
MILLISECONDS_FROM = 1e11


class Oldest(NamedTuple):
    """How far back a dataset reaches: `sent` is the first time that is taken in, `row` that of the first raw row.

    A measuring interval begins before the time that is sent of it. Before `row` there are only partials: a row there
    could not be told from one that comes again, and would be in no aggregate.
    """

    sent: datetime
    row: datetime


def measuring_time(sent: Any, received_at: datetime, zone: ZoneInfo | None) -> tuple[datetime, int]:
    """The time of an item and what its row flags say of it. Raises Refused where it cannot be.

    `zone` is that of times without an offset; without it they are refused.
    """
    if sent is None:
        return received_at, RowFlag.TIME_ARRIVAL.value
    if type(sent) is str:
        try:
            time = datetime.fromisoformat(sent)
        except ValueError:
            time = _lenient_time(sent)
        if time.tzinfo is None:
            if zone is None:
                raise Refused(Reason.TIME_WITHOUT_OFFSET, f"Got {shown(sent)}.", "time")
            time = time.replace(tzinfo=zone)
        if time.tzinfo is not UTC:
            time = _to_utc(time, sent)
    else:
        time = _from_epoch(sent)
    check_time(time, received_at, sent)
    return time, 0


def check_time(time: datetime, received_at: datetime, sent: Any) -> None:
    """Refuse a time that lies in the future or before there were sensors. `sent` is how it was written."""
    if time - received_at > FUTURE_TOLERANCE:
        ahead = time - received_at
        raise Refused(Reason.TIME_IN_FUTURE, f"Got {shown(sent)}, {ahead} ahead of the arrival.", "time")
    if time < EARLIEST:
        raise Refused(Reason.TOO_OLD, f"Got {shown(sent)}.", "time")


def _lenient_time(sent: str) -> datetime:
    """RFC 3339, 5.6 allows lower-case t and z, and the leap second that may end a day in UTC."""
    text = sent.upper()
    leap = text[17:19] == "60"
    try:
        time = datetime.fromisoformat(text[:17] + "59" + text[19:] if leap else text)
        if leap and (time.tzinfo is None or time.astimezone(UTC).timetuple()[3:6] != (23, 59, 59)):
            raise Refused(Reason.BAD_TIME, f"Got {shown(sent)}; a leap second ends a day in UTC.", "time")
        return time + timedelta(seconds=1) if leap else time
    except (ValueError, OverflowError):
        raise Refused(Reason.BAD_TIME, f"Got {shown(sent)}.", "time") from None


def _to_utc(time: datetime, sent: str) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Refused(Reason.BAD_TIME, f"Got {shown(sent)}.", "time") from None


def _from_epoch(sent: Any) -> datetime:
    if type(sent) not in (int, float):
        raise Refused(Reason.BAD_TIME, f"Got {shown(sent)}.", "time")
    seconds = sent / 1000 if abs(sent) >= MILLISECONDS_FROM else sent
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Refused(Reason.BAD_TIME, f"Got {shown(sent)}.", "time") from None
