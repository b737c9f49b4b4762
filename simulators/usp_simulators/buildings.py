"""Buildings with an energy management system: meters of the whole, the common parts, the roof and some dwellings.

Power is positive where it is taken: a roof that delivers has negative power and an export register that grows. At every
moment main = dwellings + common + photovoltaic (negative), so the main meter imports and exports what is left.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from usp_simulators.city import City
from usp_simulators.days import STEP, Day, day, hourly
from usp_simulators.noise import LENGTH, Tapes, read
from usp_simulators.registers import Registers
from usp_simulators.shapes import COMMON, FLATS_FREE, FLATS_WORK, HEATING, WATER

#: Mean power of a flat: 2,500 kWh a year.
FLAT_WATTS = 285.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Flats, heated square metres, and peak power of the photovoltaic plant in kW."""

    flats: int
    area: int
    peak: float


#: From the project's presentation; the plants' sizes are made up.
PLANS = {
    "building-tito-livio": Plan(28, 2000, 18),
    "building-fiamma": Plan(15, 3300, 11),
    "building-verro": Plan(36, 3900, 24),
    "building-passeroni": Plan(46, 6300, 30),
    "building-benaco": Plan(137, 8800, 48),
    "building-san-bernardo-29a": Plan(66, 5000, 36),
    "building-san-bernardo-48": Plan(144, 9400, 60),
}
ELSEWHERE = Plan(40, 3500, 20)


METERED = ("common", "photovoltaic", "main")


class Curve:
    """Power over a day in straight lines between steps, with the exact integrals of what is taken and delivered."""

    def __init__(self, watts: list[float]) -> None:
        self.watts = watts
        hours = STEP / 3600
        if min(watts) >= 0:
            taken = [(a + b) / 2 * hours for a, b in pairwise(watts)]
        else:
            taken = [_positive(a, b, 1.0) * hours for a, b in pairwise(watts)]
        self.taken = list(accumulate(taken, initial=0.0))
        if max(watts) <= 0 or min(watts) < 0:
            given = [_positive(-a, -b, 1.0) * hours for a, b in pairwise(watts)]
            self.given = list(accumulate(given, initial=0.0))
        else:
            self.given = [0.0] * len(watts)

    @property
    def total(self) -> tuple[int, int]:
        """Wh taken and delivered in the whole day."""
        return int(self.taken[-1]), int(self.given[-1])

    def at(self, elapsed: int) -> tuple[float, int, int]:
        """Power, and Wh taken and delivered since the day began."""
        i, rest = divmod(elapsed, STEP)
        a, b, share = self.watts[i], self.watts[i + 1], rest / STEP
        hours = STEP / 3600
        taken = self.taken[i] + _positive(a, b, share) * hours
        given = self.given[i] + _positive(-a, -b, share) * hours
        # Another order of adding must not take the register past the day's end.
        taken, given = min(taken, self.taken[i + 1]), min(given, self.given[i + 1])
        return a + (b - a) * share, int(taken), int(given)


def _positive(a: float, b: float, share: float) -> float:
    """Integrate what is above zero of a line from a to b, up to `share` of its length."""
    end = a + (b - a) * share
    if a >= 0 and end >= 0:
        return (a + end) / 2 * share
    if a <= 0 and end <= 0:
        return 0.0
    zero = a / (a - b)
    return a * zero / 2 if a > 0 else end * (share - zero) / 2


class Building:
    """A building's power on any day, and the heat and water it uses."""

    def __init__(self, site: str, city: City, tapes: Tapes) -> None:
        self._plan = PLANS.get(site, ELSEWHERE)
        self._city = city
        self._tapes = tapes
        self._place = {what: tapes.place(site, what) for what in ("flats", "hum", "common", "cloud", "heat", "water")}
        self._thrift = 0.85 + 0.3 * tapes.uniform(site, "thrift")
        self._tilt = 0.92 + 0.12 * tapes.uniform(site, "tilt")
        self.curve = lru_cache(maxsize=9)(self._curve)
        self.usage = lru_cache(maxsize=6)(self._usage)

        age = tapes.uniform(site, "age")
        self.registers = Registers(self._initial(3 + age), self._total)
        initial = (int(self._plan.area * (5 + age) * 1e5), int(self._plan.flats * (4 + age) * 1e5))
        self.consumed = Registers(initial, lambda n: (self.used("heat", day(n)), self.used("water", day(n))))

    def _curve(self, what: str, number: int) -> Curve:
        watts = {"main": self._main, "common": self._common, "photovoltaic": self._photovoltaic}[what]
        return Curve(watts(day(number)))

    def _initial(self, years: float) -> tuple[int, ...]:
        """Wh of some years in the order of METERED, ample, so that a simulated past does not reach back to zero."""
        flats, peak = self._plan.flats, self._plan.peak
        common, roof, main = (flats * 1_500_000, 0), (60_000, peak * 1_200_000), (flats * 3_000_000, peak * 500_000)
        return tuple(int(years * wh) for wh in (*common, *roof, *main))

    def _total(self, number: int) -> tuple[int, ...]:
        return tuple(wh for what in METERED for wh in self.curve(what, number).total)

    def _main(self, today: Day) -> list[float]:
        others = (self.curve(what, today.number).watts for what in ("common", "photovoltaic"))
        parts = zip(self._flats(today), *others, strict=True)
        return [flats + common + roof for flats, common, roof in parts]

    def _flats(self, today: Day) -> list[float]:
        """All dwellings together: the more flats, the smoother."""
        shape = hourly(FLATS_FREE if today.free else FLATS_WORK, today.steps)
        winter = 0.92 + 0.2 * (1 - today.summer)
        # Fans and air conditioners.
        summer = 0.25 * max(0.0, today.summer - 0.7) / 0.3
        level = self._plan.flats * FLAT_WATTS * self._thrift * (winter + summer) * (0.4 + 0.6 * today.activity)
        rough = 0.75 / self._plan.flats**0.5
        slow, fast = (
            read(tape, self._place[p], today)
            for tape, p in ((self._tapes.hours, "flats"), (self._tapes.quarter, "hum"))
        )
        return [level * s * max(0.35, 1 + 0.06 * w + rough * f) for s, w, f in zip(shape, slow, fast, strict=True)]

    def _common(self, today: Day) -> list[float]:
        """Stairs, lifts, pumps: pumps run longer in the heating season."""
        level = (350 + 22 * self._plan.flats) * (0.8 + 0.5 * (1 - today.summer))
        lifts = read(self._tapes.quarter, self._place["common"], today)
        return [level * s * max(0.4, 1 + 0.16 * q) for s, q in zip(hourly(COMMON, today.steps), lifts, strict=True)]

    def _photovoltaic(self, today: Day) -> list[float]:
        """Negative by day; at night the inverter takes a few watts."""
        clouds = read(self._tapes.quarter, self._place["cloud"], today)
        size = self._plan.peak * self._tilt * 0.86
        return [
            6.0 - size * light * min(1.02, max(0.3, 1 + 0.07 * c)) if light > 0 else 6.0
            for light, c in zip(self._city.sunlight(today), clouds, strict=True)
        ]

    def used(self, what: str, today: Day) -> int:
        """Wh of heat or litres of water in a whole day."""
        luck = 1 + 0.05 * self._tapes.white[(self._place[what] + today.number) % LENGTH]
        if what == "water":
            return int(self._plan.flats * 265 * luck * (0.4 + 0.6 * today.activity))
        cold = max(0.0, 16.5 - self._city.mild(today)[144])
        # In Milan heating is allowed from 15 October to 15 April; hot water is made all year.
        heating = cold * 34 * self._plan.area if today.summer < 0.53 else 0
        return int((heating + self._plan.flats * 4200) * self._thrift * luck)

    def _usage(self, what: str, number: int) -> list[float]:
        """Shares of a day's heat or water used until each step."""
        today = day(number)
        shape = hourly(WATER if what == "water" else HEATING, today.steps)
        weights = [
            s * max(0.1, 1 + 0.35 * q)
            for s, q in zip(shape, read(self._tapes.quarter, self._place[what], today), strict=True)
        ]
        used = list(accumulate(weights[:-1], initial=0.0))
        return [u / used[-1] for u in used]


class Dwelling:
    """One flat's power: a fridge, a few lamps, and appliances that come and go."""

    def __init__(self, name: str, tapes: Tapes) -> None:
        self._name = name
        self._tapes = tapes
        self._place = tapes.place(name, "load")
        self._idle = 55 + 90 * tapes.uniform(name, "idle")
        self._people = 1 + 3 * tapes.uniform(name, "people")
        self.curve = lru_cache(maxsize=3)(self._curve)
        initial = int(1.2e7 + 9e6 * tapes.uniform(name, "age"))
        self.registers = Registers((initial, 0), lambda number: self.curve(number).total)

    def _curve(self, number: int) -> Curve:
        today = day(number)
        shape = hourly(FLATS_FREE if today.free else FLATS_WORK, today.steps)
        wander = read(self._tapes.quarter, self._place, today)
        watts = [self._idle + 48 * self._people * s * max(0.1, 1 + 0.5 * w) for s, w in zip(shape, wander, strict=True)]
        rng = self._tapes.random(self._name, number)
        hours = list(accumulate(FLATS_WORK))
        for _ in range(round(self._people * rng.uniform(0.8, 2.2))):
            # An oven, an iron, a washing machine: not past the night, so that days join.
            hour = 5 + bisect_right(hours, rng.uniform(hours[5], hours[22])) - 6 + rng.random()
            first = int((hour - 3) * 3600 / STEP)
            power = rng.choice((700, 1100, 1600, 2000))
            for i in range(max(1, first), min(first + rng.randint(1, 9), today.steps - 12)):
                watts[i] += power * rng.uniform(0.6, 1)
        return Curve([min(w, 3200) for w in watts])
