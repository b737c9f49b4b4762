"""Climate sensors in dwellings: every five minutes temperature, humidity and the air that people have breathed."""

from collections.abc import Iterator
from functools import lru_cache
from math import exp

from usp_simulators.city import City
from usp_simulators.days import STEP, Day, day, hourly
from usp_simulators.message import Message, stamp, ticks
from usp_simulators.noise import Tapes, read
from usp_simulators.registers import EPOCH
from usp_simulators.shapes import HOME_FREE, HOME_WORK, SETPOINT

BATTERY_INTERVAL = 6 * 3600
#: CO2 in ppm outdoors, and after a night in a bedroom.
OUTDOOR, BREATHED = 430.0, 1000.0


class IndoorSensor:
    """One battery-driven sensor in a living room."""

    def __init__(self, name: str, city: City, tapes: Tapes, *, phase: int) -> None:
        self._name = name
        self._city = city
        self._tapes = tapes
        self._phase = phase
        self._place = {what: tapes.place(name, what) for what in ("temperature", "humidity", "people")}
        self._comfort = 20 + 1.8 * tapes.uniform(name, "comfort")
        self._household = 1 + 2.5 * tapes.uniform(name, "household")
        self._signal = -75 - 25 * tapes.uniform(name, "signal")
        self._drained = 20 * tapes.uniform(name, "battery")
        self._curves = lru_cache(maxsize=2)(self._draw)

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """Yield one message for each interval, now and then with the battery."""
        temperature, humidity, co2 = self._curves(day)
        for at in ticks(start, end, STEP, self._phase):
            i = (at - day.start) // STEP
            payload: dict[str, object] = {
                "time": stamp(at),
                "temperature": round(temperature[i], 1),
                "humidity": round(humidity[i], 1),
                "co2": round(co2[i]),
            }
            if at // STEP * STEP % BATTERY_INTERVAL == 0:
                used = min(95.0, max(0.0, self._drained + (at / 86400 + 719163 - EPOCH) / 18))
                payload |= {"battery": round(100 - used), "rssi": round(self._signal + 3 * (temperature[i] % 1))}
            yield Message(at, self._name, "indoor_sensor", payload)

    def _draw(self, day: Day) -> tuple[list[float], list[float], list[float]]:
        """Heated to a setpoint when it is cold outside, following the outdoors damped when it is warm."""
        tapes, place = self._tapes, self._place
        outdoor = self._city.outdoor(day)
        setpoint = hourly(SETPOINT, day.steps)
        wander = read(tapes.hours, place["temperature"], day)
        temperature = [
            max(self._comfort + 0.8 * s, 12.5 + 0.46 * mild + 0.1 * out) + 0.3 * w
            for s, mild, out, w in zip(setpoint, self._city.mild(day), outdoor, wander, strict=True)
        ]
        damp = read(tapes.hours, place["humidity"], day)
        moist = 41 + 11 * day.summer
        humidity = [
            min(85.0, max(22.0, moist + 4.5 * d - 1.2 * (t - 22))) for d, t in zip(damp, temperature, strict=True)
        ]
        return temperature, humidity, self._breath(day)

    def _breath(self, today: Day) -> list[float]:
        """CO2 goes towards what the people present make of it, within two hours: so it begins the day before."""
        keep = exp(-STEP / 7200)
        level, levels = BREATHED, []
        for towards in (*self._settled(day(today.number - 1))[-120:-1], *self._settled(today)):
            level = keep * level + (1 - keep) * towards
            levels.append(level)
        return levels[119:]

    def _settled(self, today: Day) -> list[float]:
        """What CO2 would settle at; open windows help in summer."""
        home = hourly(HOME_FREE if today.free else HOME_WORK, today.steps)
        wander = read(self._tapes.quarter, self._place["people"], today)
        people = 430 * self._household / (1 + 1.6 * today.summer)
        return [OUTDOOR + people * h * max(0.2, 1 + 0.3 * w) for h, w in zip(home, wander, strict=True)]
