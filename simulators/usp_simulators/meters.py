"""The meters of a building, as they send."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import acos, tan
from typing import Any

from usp_simulators.buildings import METERED, Building, Curve, Dwelling
from usp_simulators.days import STEP, Day
from usp_simulators.message import INTERVAL, Message, stamp, ticks
from usp_simulators.noise import LENGTH, Tapes

LINES = ("l1", "l2", "l3")


@dataclass(frozen=True, slots=True)
class Source:
    """What a meter measures: power by day, and Wh taken and delivered when a day begins."""

    curve: Callable[[int], Curve]
    registers: Callable[[int], tuple[int, ...]]


class Meter:
    """An electricity meter; three phases unless it is a dwelling's."""

    def __init__(self, name: str, source: Source, tapes: Tapes, *, phase: int, interval: int = STEP) -> None:
        self._name = name
        self._source = source
        self._white = tapes.white
        self._place = tapes.place(name, "white")
        self._grid = tapes.place("grid")
        self._phase = phase
        self._interval = interval
        balance = [1 + 0.3 * (tapes.uniform(name, line) - 0.5) for line in LINES]
        self._shares = [share / sum(balance) for share in balance]

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """Yield one message for each interval."""
        for at in ticks(start, end, self._interval, self._phase):
            yield Message(at, self._name, "energy_meter", self._payload(day, at))

    def _payload(self, day: Day, at: int) -> dict[str, Any]:
        watts, taken, given = self._source.curve(day.number).at(at - day.start)
        imported, exported = self._source.registers(day.number)
        first = (self._place + at // 60 * 5) % LENGTH
        noise = self._white[first : first + 5]
        factor = round(min(0.99, 0.94 + 0.012 * noise[0]), 3)
        payload = {
            "time": stamp(at),
            "active_power": round(watts, 1),
            "energy_import": (imported + taken) / 1000,
            "power_factor": factor,
        }
        return payload | self._grid_values(at, watts, factor, noise) | {"energy_export": (exported + given) / 1000}

    def _grid_values(self, at: int, watts: float, factor: float, noise: list[float]) -> dict[str, float]:
        values = {
            "reactive_power": round(abs(watts) * tan(acos(factor)), 1),
            "frequency": round(50 + 0.012 * self._white[(self._grid + at // 60) % LENGTH], 2),
        }
        for line, share, luck in zip(LINES, self._shares, noise[2:], strict=True):
            volts = round(231 + 1.2 * luck - watts / 40_000, 1)
            values[f"voltage_{line}"] = volts
            values[f"current_{line}"] = round(abs(watts) * share / volts / factor, 2)
        return values


class CommonMeter(Meter):
    """The meter of the common parts, which also reads the building's heat and water."""

    def __init__(self, name: str, building: Building, tapes: Tapes, *, phase: int) -> None:
        super().__init__(name, _source(building, "common"), tapes, phase=phase)
        self._building = building

    def _payload(self, day: Day, at: int) -> dict[str, Any]:
        payload = super()._payload(day, at)
        i, rest = divmod(at - day.start, STEP)
        for what, standing in zip(("heat", "water"), self._building.consumed.at_start(day.number), strict=True):
            shares = self._building.usage(what, day.number)
            share = shares[i] + (shares[i + 1] - shares[i]) * rest / STEP
            payload[what] = (standing + int(self._building.used(what, day) * share)) / 1000
        return payload


class DwellingMeter(Meter):
    """The single-phase meter of a flat."""

    def __init__(self, name: str, tapes: Tapes, *, phase: int) -> None:
        dwelling = Dwelling(name, tapes)
        super().__init__(name, Source(dwelling.curve, dwelling.registers.at_start), tapes, phase=phase)

    def _payload(self, day: Day, at: int) -> dict[str, Any]:
        payload = super()._payload(day, at)
        del payload["energy_export"]
        return payload

    def _grid_values(self, _at: int, watts: float, factor: float, noise: list[float]) -> dict[str, float]:
        volts = round(230.5 + 1.4 * noise[1] - watts / 2000, 1)
        return {"voltage": volts, "current": round(watts / volts / factor, 2)}


def building_meter(name: str, category: str | None, building: Building, tapes: Tapes, *, phase: int) -> Meter:
    """Return the main meter, that of the common parts or that of the roof."""
    if category == "common":
        return CommonMeter(name, building, tapes, phase=phase)
    if category == "photovoltaic":
        return Meter(name, _source(building, category), tapes, phase=phase)
    # The main meter also sends when the building's others do, so that the readings can be compared.
    return Meter(name, _source(building, "main"), tapes, phase=phase, interval=INTERVAL)


def _source(building: Building, what: str) -> Source:
    slot = 2 * METERED.index(what)
    return Source(
        lambda number: building.curve(what, number),
        lambda number: building.registers.at_start(number)[slot : slot + 2],
    )
