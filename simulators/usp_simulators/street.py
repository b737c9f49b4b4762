"""What goes on in a lamppost's street during a day: traffic, people, its lamp and its Wi-Fi."""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

from usp_simulators.city import minutes
from usp_simulators.days import Day, day, hourly, sun_times
from usp_simulators.noise import LENGTH, Tapes, read
from usp_simulators.registers import Registers
from usp_simulators.shapes import BICYCLES, HEAVY, ONLINE, VEHICLES_FREE, VEHICLES_WORK, WALKERS

#: Motor vehicles on a working day, both directions.
VEHICLES = {
    "viale-beatrice-d-este": 11_000,
    "viale-bligny": 15_500,
    "viale-sarfatti": 6_200,
    "viale-toscana": 24_000,
    "corso-lodi": 19_000,
    "corso-lodi-periferia": 22_000,
    "piazzale-corvetto": 27_000,
    "viale-umbria": 23_000,
    "viale-lazio": 5_400,
    "viale-monte-nero": 10_500,
    "viale-emilio-caldara": 8_800,
}
ELSEWHERE = 10_000


FULL, REDUCED = 100, 60
STANDBY_WATTS = 4.2
BYTES_OF_A_GUEST = 95_000_000


@dataclass(frozen=True, slots=True)
class Lamp:
    """The lamp's day: when what begins, in watts and percent, and the Wh used until then."""

    starts: tuple[int, ...]
    levels: tuple[tuple[float, int], ...]
    used: tuple[float, ...]

    def at(self, at: int) -> tuple[float, int, int]:
        """Power, dimming level and Wh since the day began."""
        i = bisect(self.starts, at) - 1
        watts, dimming = self.levels[i]
        return watts, dimming, int(self.used[i] + watts * (at - self.starts[i]) / 3600)


@dataclass(frozen=True, slots=True)
class StreetDay:
    """A day: lists hold a value for each minute, `online` the share of the day's bytes at each step."""

    flow: list[float]
    heavy: list[float]
    bicycles: list[float]
    walkers: list[float]
    people: list[float]
    exhaust: list[float]
    dust: list[float]
    gases: list[float]
    online: list[float]
    received: int
    sent: int
    lamp: Lamp
    peak: float
    summer: float


class Street:
    """The surroundings of one lamppost, on any day."""

    def __init__(self, name: str, site: str, tapes: Tapes) -> None:
        self._tapes = tapes
        self._vehicles = VEHICLES.get(site, ELSEWHERE) * (0.93 + 0.14 * tapes.uniform(name, "vehicles"))
        self._lively = 0.3 + tapes.uniform(site, "lively")
        self._guests = 5 + 38 * tapes.uniform(name, "guests") ** 2
        self._watts = 78 + 6 * round(5 * tapes.uniform(site, "lamp"))
        self._twilight = -2.6 + tapes.uniform(name, "twilight")
        self._place = {what: tapes.place(name, what) for what in ("flow", "dust", "gases", "online", "guests")}
        u = tapes.uniform(name, "age")
        initial = (
            int((2 + u) * 10**6),
            int(self._guests * (2 + u) * 10**11),
            int(self._guests * (14 + 7 * u) * 10**11),
        )
        self.registers = Registers(initial, self._total)

    def day(self, today: Day) -> StreetDay:
        """Draw the day's curves."""
        tapes, place = self._tapes, self._place
        wander = read(tapes.hours, place["flow"], today)
        steps = today.steps
        per_minute = self._vehicles / 100 / 60 * today.activity
        flow = [
            per_minute * share * (1 + 0.07 * w)
            for share, w in zip(hourly(VEHICLES_FREE if today.free else VEHICLES_WORK, steps), wander, strict=True)
        ]
        guests = [
            self._guests * share / 95 * today.activity * max(0.2, 1 + 0.18 * w)
            for share, w in zip(hourly(ONLINE, steps), read(tapes.hours, place["online"], today), strict=True)
        ]
        weights = [
            g * max(0.1, 1 + 0.5 * q) for g, q in zip(guests, read(tapes.quarter, place["online"], today), strict=True)
        ]
        used = list(accumulate(weights[:-1], initial=0.0))
        received, sent = self._bytes(today)
        lively = self._lively * (0.7 if today.free else 1.0) * today.activity
        return StreetDay(
            flow=minutes(flow),
            heavy=minutes([h / (250 if today.free else 100) for h in hourly(HEAVY, steps)]),
            bicycles=minutes([lively * c / 26 for c in hourly(BICYCLES, steps)]),
            walkers=minutes([lively * w / 9 for w in hourly(WALKERS, steps)]),
            people=minutes(guests),
            # 12 vehicles a minute are an ordinary main street by day.
            exhaust=minutes([(0.05 + f / 12) ** 0.8 for f in flow]),
            dust=minutes([max(0.5, 1 + 0.09 * w) for w in read(tapes.hours, place["dust"], today)]),
            gases=minutes([max(0.4, 1 + 0.13 * w) for w in read(tapes.quarter, place["gases"], today)]),
            online=[u / used[-1] for u in used],
            received=received,
            sent=sent,
            lamp=self._lamp(today),
            peak=self._vehicles / 100 / 60 * max(VEHICLES_WORK),
            summer=today.summer,
        )

    def _lamp(self, today: Day) -> Lamp:
        """Lit from dusk to dawn, dimmed from 23:00 to 05:00."""
        rise, sunk = sun_times(today, self._twilight)
        reduced, full = (self._watts * REDUCED / 100 + 3, REDUCED), (float(self._watts), FULL)
        starts = (today.start, today.seconds(5), rise, sunk, today.seconds(23), today.end)
        levels = (reduced, full, (STANDBY_WATTS, 0), full, reduced, reduced)
        spans = (watts * (b - a) / 3600 for (watts, _), a, b in zip(levels, starts, starts[1:], strict=False))
        return Lamp(starts, levels, tuple(accumulate(spans, initial=0.0)))

    def _bytes(self, today: Day) -> tuple[int, int]:
        luck = self._tapes.white[(self._place["guests"] + today.number) % LENGTH]
        sent = self._guests * BYTES_OF_A_GUEST * 10 * today.activity * max(0.4, 1 + 0.2 * luck)
        return int(sent * 0.14), int(sent)

    def _total(self, number: int) -> tuple[int, int, int]:
        """The day's Wh, received and sent bytes."""
        today = day(number)
        return int(self._lamp(today).used[-1]), *self._bytes(today)
