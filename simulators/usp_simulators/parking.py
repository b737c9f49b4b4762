"""Parking sensors: a message at each arrival and departure, and every half hour a sign of life."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Any

from usp_simulators.days import Day, day
from usp_simulators.events import Timeline, next_arrival, rates
from usp_simulators.message import Message, stamp, ticks
from usp_simulators.noise import Tapes
from usp_simulators.registers import EPOCH

HEARTBEAT = 1800
#: Every how many signs of life a sensor also tells of its battery.
BATTERY_EVERY = 12
SHORTEST_STAY = 50.0


@dataclass(frozen=True, slots=True)
class Habit:
    """How a category of bay is used: arrivals per free hour from midnight, on working and free days, and stays."""

    work: tuple[float, ...]
    free: tuple[float, ...]
    minutes: float
    spread: float
    longest: float


HABITS = {
    # Vans by day; at night nobody minds a car.
    "logistics": Habit(
        rates((0, 0.15), (5, 0.5), (7, 2.4), (12, 1.3), (14, 2.0), (18, 1.2), (20, 0.5)),
        rates((0, 0.15), (8, 0.6), (13, 0.4), (19, 0.7)),
        minutes=17,
        spread=0.8,
        longest=10,
    ),
    "disabled": Habit(
        rates((0, 0.05), (7, 0.5), (10, 0.6), (16, 0.5), (20, 0.25)),
        rates((0, 0.05), (8, 0.3), (12, 0.35), (20, 0.2)),
        minutes=125,
        spread=0.9,
        longest=13,
    ),
    # A bus stop: somebody fetches a pizza.
    "no_parking": Habit(
        rates((0, 0.3), (1, 0.1), (7, 0.9), (9, 0.6), (17, 1.3), (21, 0.9)),
        rates((0, 0.5), (2, 0.1), (9, 0.6), (18, 1.4), (22, 0.9)),
        minutes=4,
        spread=0.7,
        longest=1,
    ),
    "mobility_area": Habit(
        rates((0, 0.1), (6, 0.4), (8, 1.1), (13, 0.9), (17, 1.2), (20, 0.5)),
        rates((0, 0.15), (8, 0.5), (11, 0.8), (20, 0.4)),
        minutes=65,
        spread=0.7,
        longest=12,
    ),
}


class Bay:
    """One bay and its sensor."""

    def __init__(self, name: str, category: str | None, tapes: Tapes, *, phase: int) -> None:
        self._name = name
        self._habit = HABITS[category or "mobility_area"]
        self._tapes = tapes
        self._phase = phase
        self._busy = 0.7 + 0.6 * tapes.uniform(name, "busy")
        self._drained = 12 * tapes.uniform(name, "battery")
        self._plan = lru_cache(maxsize=4)(self._draw)
        self._timeline = lru_cache(maxsize=2)(self._lay)

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """Yield changes and signs of life."""
        timeline = self._timeline(day.number)
        alive = set(ticks(start, end, HEARTBEAT, self._phase))
        for at in sorted(alive.union(timeline.changes(start, end))):
            payload: dict[str, Any] = {"time": stamp(at), "occupied": timeline.at(at)}
            if at in alive and at // HEARTBEAT % BATTERY_EVERY == self._phase % BATTERY_EVERY:
                payload |= self._battery(at)
            yield Message(at, self._name, "parking_sensor", payload)

    def _draw(self, number: int) -> list[tuple[int, int]]:
        """Arrivals of a day with their departures, the last of which may fall on the next day."""
        today, habit = day(number), self._habit
        rng = self._tapes.random(self._name, number)
        rates = [rate * self._busy * today.activity for rate in (habit.free if today.free else habit.work)]
        stays: list[tuple[int, int]] = []
        at = float(today.start)
        while (arrival := next_arrival(rng, at, today, rates)) is not None:
            stay = max(
                SHORTEST_STAY, min(habit.longest * 3600, rng.lognormvariate(log(habit.minutes * 60), habit.spread))
            )
            stays.append((arrival, int(arrival + stay)))
            at = arrival + stay + 25
        return stays

    def _lay(self, number: int) -> Timeline[bool]:
        """Yesterday's stays and today's; whoever stays overnight goes at the latest before the next one comes."""
        days = [self._plan(n) for n in (number - 1, number, number + 1)]
        stays = [stay for plan in days for stay in plan]
        starts, states = [day(number - 1).start], [False]
        for (arrival, leaving), following in zip(stays, [*stays[1:], None], strict=True):
            latest = following[0] - 25 if following else leaving
            if latest - arrival >= SHORTEST_STAY:
                starts += [arrival, min(leaving, latest)]
                states += [True, False]
        return Timeline(starts, states)

    def _battery(self, at: int) -> dict[str, float]:
        """A lithium cell for some eight years."""
        used = min(95.0, max(0.0, self._drained + (at / 86400 + 719163 - EPOCH) / 8 / 3.65))
        return {"battery": round(100 - used), "battery_voltage": round(3.66 - 0.004 * used, 2)}
