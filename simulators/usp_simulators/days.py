"""The calendar and the sun over Milan.

A day of the simulation runs from 04:00 to 04:00 local time: the quietest hour, and one after which the clock change is
over, so a day of 23 or 25 hours is only shorter or longer at its end.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

ROME = ZoneInfo("Europe/Rome")
LATITUDE, LONGITUDE = math.radians(45.45), 9.2
BEGIN_HOUR = 4

#: Curves are drawn through points this many seconds apart.
STEP = 300

#: Month and day of the fixed holidays; 7 December is Sant'Ambrogio, Milan's own.
HOLIDAYS = {(1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 7), (12, 8), (12, 25), (12, 26)}

#: Saturday in `date.weekday()`.
SATURDAY = 5
AUGUST = 8


@dataclass(frozen=True, slots=True)
class Day:
    """One day: its ordinal number, its first and past-the-end second since 1970, and what kind of day it is."""

    number: int
    start: int
    end: int
    free: bool
    summer: float
    activity: float

    @property
    def steps(self) -> int:
        """How many steps of curves it has: 288, fewer or more when the clock changes."""
        return (self.end - self.start) // STEP

    def hour(self, at: float) -> int:
        """Return the hour on the clock at second `at`."""
        return int(BEGIN_HOUR + (at - self.start) // 3600) % 24

    def seconds(self, hour: float) -> int:
        """Return the second since 1970 at which the clock shows `hour`; hours below 4 are past midnight."""
        return self.start + int(((hour - BEGIN_HOUR) % 24) * 3600)


@lru_cache(maxsize=2000)
def day(number: int) -> Day:
    """Return the day of this proleptic Gregorian ordinal."""
    today = date.fromordinal(number)
    summer = 0.5 - 0.5 * math.cos(2 * math.pi * (today.timetuple().tm_yday - 17) / 365.25)
    free = today.weekday() >= SATURDAY or (today.month, today.day) in HOLIDAYS
    # In August half of Milan is at the sea.
    activity = 1.0
    if today.month == AUGUST:
        activity = 0.62 if 8 <= today.day <= 23 else 0.8
    return Day(number, _begin(today), _begin(today + timedelta(days=1)), free, summer, activity)


def day_of(at: int) -> Day:
    """Return the day that second `at` belongs to."""
    local = datetime.fromtimestamp(at, ROME) - timedelta(hours=BEGIN_HOUR)
    return day(local.toordinal())


def _begin(today: date) -> int:
    return int(datetime(today.year, today.month, today.day, BEGIN_HOUR, tzinfo=ROME).timestamp())


@cache
def hourly(values: tuple[float, ...], steps: int, step: int = STEP) -> list[float]:
    """Draw a curve through 24 clock hours' values over a day, a point at each step and one at the end."""
    points = []
    for i in range(steps + 1):
        hour = BEGIN_HOUR + i * step / 3600 - 0.5
        low = math.floor(hour)
        share = hour - low
        points.append(values[low % 24] * (1 - share) + values[(low + 1) % 24] * share)
    return points


@lru_cache(maxsize=2000)
def _declination(number: int) -> tuple[float, float]:
    """Return the sun's declination in radians and the equation of time in hours (Spencer's leading terms)."""
    angle = 2 * math.pi * (date.fromordinal(number).timetuple().tm_yday - 0.5) / 365.25
    declination = 0.006918 - 0.399912 * math.cos(angle) + 0.070257 * math.sin(angle) - 0.006758 * math.cos(2 * angle)
    equation = 0.000075 + 0.001868 * math.cos(angle) - 0.032077 * math.sin(angle) - 0.04089 * math.sin(2 * angle)
    return declination, equation * 12 / math.pi


def _hour_angle(at: float, equation: float) -> float:
    return math.radians(15 * (at % 86400 / 3600 + LONGITUDE / 15 + equation - 12))


def sine_of_elevation(today: Day) -> list[float]:
    """Sine of the sun's height over the horizon at each step."""
    declination, equation = _declination(today.number)
    up = math.sin(LATITUDE) * math.sin(declination)
    across = math.cos(LATITUDE) * math.cos(declination)
    moments = range(today.start, today.end + 1, STEP)
    return [up + across * math.cos(_hour_angle(at, equation)) for at in moments]


def sun_times(today: Day, elevation: float) -> tuple[int, int]:
    """When on this day the sun rises and sinks through `elevation`, given in degrees."""
    declination, equation = _declination(today.number)
    noon = today.start + 8 * 3600
    cosine = (math.sin(math.radians(elevation)) - math.sin(LATITUDE) * math.sin(declination)) / (
        math.cos(LATITUDE) * math.cos(declination)
    )
    transit = noon - math.degrees(_hour_angle(noon, equation)) * 240
    half = math.degrees(math.acos(cosine)) * 240
    return int(transit - half), int(transit + half)
