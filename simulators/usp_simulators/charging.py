"""Charging points: a message at each change of state, every minute while charging, and every quarter of an hour."""

from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any

from usp_simulators.days import Day, day
from usp_simulators.events import Timeline, next_arrival, rates
from usp_simulators.message import Message, stamp, ticks
from usp_simulators.noise import Tapes
from usp_simulators.registers import Registers
from usp_simulators.session import Session, Visit

HEARTBEAT = 900
WHILE_CHARGING = 60

#: Arrivals per free hour from midnight: (working day, free day).
ARRIVALS = {
    "fast": (
        rates((0, 0.03), (6, 0.14), (8, 0.28), (12, 0.36), (14, 0.28), (17, 0.42), (20, 0.2), (22, 0.08)),
        rates((0, 0.04), (8, 0.16), (10, 0.32), (20, 0.16), (22, 0.08)),
    ),
    "normal": (
        rates((0, 0.01), (7, 0.09), (8, 0.15), (10, 0.08), (17, 0.12), (20, 0.07), (22, 0.03)),
        rates((0, 0.01), (8, 0.06), (10, 0.1), (20, 0.06), (22, 0.03)),
    ),
}
LONGEST_STAY = 13 * 3600
#: Shares of visits: an outage instead, reserved beforehand, stays until the battery is full enough (fast ones).
FAILING, RESERVING, WAITING = 0.004, 0.06, 0.7


class ChargingPoint:
    """One connector."""

    def __init__(self, name: str, category: str | None, tapes: Tapes, *, phase: int) -> None:
        self._name = name
        self._fast = category == "fast"
        self._arrivals = ARRIVALS["fast" if self._fast else "normal"]
        self._tapes = tapes
        self._phase = phase
        self._busy = 0.75 + 0.5 * tapes.uniform(name, "busy")
        self._volts = 228 + 8 * tapes.uniform(name, "volts")
        self._plan = lru_cache(maxsize=4)(self._draw)
        self._clipped = lru_cache(maxsize=4)(self._clip)
        self._timeline = lru_cache(maxsize=2)(self._lay)
        years = 3 + 3 * tapes.uniform(name, "age")
        self._energy = Registers((int(years * (3e7 if self._fast else 6e6)),), self._total)

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """Yield changes of state, meter values and signs of life."""
        timeline = self._timeline(day.number)
        times = set(ticks(start, end, HEARTBEAT, self._phase)).union(timeline.changes(start, end))
        visits = self._clipped(day.number - 1) + self._clipped(day.number)
        base = self._energy.at_start(day.number - 1)[0]
        for visit in visits:
            session = visit.session
            if session and session.start < end and session.until > start:
                first, past = max(session.start, start), min(session.until, end)
                times.update(ticks(first, past, WHILE_CHARGING, session.start))
        for at in sorted(times):
            yield self._message(at, timeline.at(at), base, visits)

    def _message(self, at: int, status: str, base: int, visits: list[Visit]) -> Message:
        energy, running = base, None
        for visit in visits:
            if visit.session and visit.session.start <= at:
                delivered = visit.session.energy(at)
                energy += delivered
                if at < visit.gone:
                    running = visit.session
        payload: dict[str, Any] = {"time": stamp(at), "status": status, "power": 0, "energy": energy / 1000}
        if running is not None:
            payload["session_energy"] = running.energy(at) / 1000
            if status == "charging":
                payload |= self._meter_values(running, at)
        return Message(at, self._name, "charging_point", payload)

    def _meter_values(self, session: Session, at: int) -> dict[str, float]:
        watts = session.power(at)
        soc = session.soc(at)
        if self._fast:
            volts = round(330 + 0.75 * soc, 1)
            return {"power": round(watts), "current": round(watts / volts, 1), "voltage": volts, "soc": round(soc)}
        volts = round(self._volts - watts / 6000, 1)
        return {"power": round(watts), "current": round(watts / volts / session.phases, 1), "voltage": volts}

    def _draw(self, number: int) -> list[Visit]:
        """Visits that begin on a day, the last of which may end on the next."""
        today = day(number)
        rng = self._tapes.random(self._name, number)
        arrivals = [rate * self._busy * (0.5 + today.activity / 2) for rate in self._arrivals[today.free]]
        visits: list[Visit] = []
        at = float(today.start)
        while (arrival := next_arrival(rng, at, today, arrivals)) is not None:
            visit = _outage(rng, arrival) if rng.random() < FAILING else self._visit(rng, arrival)
            visits.append(visit)
            at = visit.gone + 60
        return visits

    def _visit(self, rng: Random, arrival: int) -> Visit:
        plugged = arrival + (rng.randint(240, 840) if rng.random() < RESERVING else 0)
        start = plugged + rng.randint(20, 75)
        session = _fast_session(rng, start) if self._fast else _normal_session(rng, start)
        if self._fast:
            # Most wait until the battery is full enough, some only for a while.
            waits = rng.random() < WAITING
            leaving = session.until + rng.expovariate(1 / 420) if waits else start + rng.uniform(600, 2400)
        else:
            leaving = start + rng.lognormvariate(9.1, 0.65)
        leaving = min(max(leaving, start + 300), start + LONGEST_STAY)
        gone = int(leaving) + rng.randint(25, 110)
        return Visit(arrival, plugged, session.cut(int(leaving)), int(leaving), gone)

    def _clip(self, number: int) -> list[Visit]:
        """A day's visits, the last one over before the next day's first begins."""
        visits, following = self._plan(number), self._plan(number + 1)
        return [
            shortened
            for visit, after in zip(visits, [*visits[1:], following[0] if following else None], strict=False)
            if (shortened := visit.before(after)) is not None
        ]

    def _lay(self, number: int) -> Timeline[str]:
        states = [(day(number - 1).start, "available")]
        for visit in self._clipped(number - 1) + self._clipped(number):
            states += visit.states()
        return Timeline([at for at, _ in states], [state for _, state in states])

    def _total(self, number: int) -> tuple[int]:
        return (sum(v.session.energy(v.gone) for v in self._clipped(number) if v.session),)


def _fast_session(rng: Random, start: int) -> Session:
    capacity = rng.choice((40, 52, 58, 64, 77))
    power = min(50_000, rng.gauss(47_000, 4000))
    begin = rng.uniform(10, 55)
    return Session.plan(start, capacity * 1000, begin, rng.choice((80, 80, 85, 90, 95)), power, bend=70, phases=1)


def _normal_session(rng: Random, start: int) -> Session:
    capacity = rng.choice((10, 24, 42, 52, 64))
    power, phases = rng.choice(((3600, 1), (7200, 1), (7200, 1), (10_800, 3), (10_800, 3), (21_500, 3)))
    begin = rng.uniform(25, 80)
    return Session.plan(start, capacity * 1000, begin, 100, power * rng.uniform(0.96, 1), bend=93, phases=phases)


def _outage(rng: Random, at: int) -> Visit:
    """Something is broken until somebody comes."""
    return Visit(at, at, None, at, at + rng.randint(1800, 6 * 3600))
