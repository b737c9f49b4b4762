"""Things that happen by chance: arrivals whose rate goes by the hour, and the states they leave behind."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from usp_simulators.days import Day

T = TypeVar("T")


def rates(*spans: tuple[int, float]) -> tuple[float, ...]:
    """Return 24 hourly rates from (first hour, rate) pairs, each of which holds until the next."""
    hours: list[float] = []
    for (first, rate), (past, _) in zip(spans, (*spans[1:], (24, 0.0)), strict=True):
        hours += [rate] * (past - first)
    return tuple(hours)


def next_arrival(rng: Random, after: float, day: Day, rates: Sequence[float]) -> int | None:
    """Return the first arrival past `after` within the day, at `rates` per hour of the clock (thinning), if any."""
    highest = max(rates)
    at = after
    while True:
        at += rng.expovariate(highest / 3600)
        if at >= day.end:
            return None
        if rng.random() * highest < rates[day.hour(at)]:
            return int(at)


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    """States, and when each begins; the first one holds before its beginning too."""

    starts: list[int]
    states: list[T]

    def at(self, at: int) -> T:
        """Return the state at a second."""
        return self.states[max(0, bisect_right(self.starts, at) - 1)]

    def changes(self, start: int, end: int) -> list[int]:
        """Return when states begin in start ≤ t < end."""
        return self.starts[bisect_left(self.starts, start) : bisect_left(self.starts, end)]
