"""Smart lampposts: air, weather, noise, light and Wi-Fi once a minute, and traffic where a detector is fitted."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log10, sqrt
from typing import Any

from usp_simulators.city import City, CityDay
from usp_simulators.days import STEP, Day
from usp_simulators.message import INTERVAL, Message, stamp, ticks
from usp_simulators.noise import LENGTH, Tapes
from usp_simulators.street import Street, StreetDay

#: Numbers of white noise that one message uses up; it shares no factor with the tape's length.
DRAWS = 7
#: Beyond this many standard deviations a siren passes.
SIREN = 3


@dataclass(slots=True)
class Moment:
    """What there is to measure when a message is due."""

    at: int
    elapsed: int
    minute: int
    city: CityDay
    street: StreetDay
    noise: list[float]
    vehicles: int


class Lamppost:
    """One lamppost. `traffic` says whether its detector counts."""

    def __init__(self, name: str, street: Street, city: City, tapes: Tapes, *, phase: int, traffic: bool) -> None:
        self._name = name
        self._city = city
        self._street = street
        self._white = tapes.white
        self._place = tapes.place(name, "white")
        self._phase = phase
        self._traffic = traffic
        self._day = lru_cache(maxsize=2)(street.day)
        # Each sensor is off by a little of its own.
        self._bias = {what: tapes.uniform(name, what) - 0.5 for what in ("temperature", "noise", "pm", "gas")}

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """Yield one message for each minute."""
        city, street = self._city.day(day), self._day(day)
        standing = self._street.registers.at_start(day.number)
        for at in ticks(start, end, INTERVAL, self._phase):
            elapsed = at - day.start
            first = (self._place + at // 60 * DRAWS) % LENGTH
            noise = self._white[first : first + DRAWS]
            vehicles = _count(street.flow[elapsed // 60], noise[0])
            moment = Moment(at, elapsed, elapsed // 60, city, street, noise, vehicles)
            payload: dict[str, Any] = {"time": stamp(at)}
            _air(payload, moment, self._bias)
            _weather(payload, moment, self._bias)
            _noise(payload, moment, self._bias)
            if self._traffic:
                _traffic(payload, moment)
            _lighting(payload, moment, standing)
            _wifi(payload, moment, standing)
            yield Message(at, self._name, "lamppost", payload)


def _count(mean: float, noise: float) -> int:
    """Draw a count that scatters like Poisson's; the square keeps it from going below nothing."""
    root = sqrt(mean) + 0.5 * noise
    return round(root * root) if root > 0 else 0


def _air(payload: dict[str, Any], moment: Moment, bias: dict[str, float]) -> None:
    """Background and what the street adds, more of it the less the air moves; fresh NO eats ozone."""
    minute, city, street, noise = moment.minute, moment.city, moment.street, moment.noise
    still = city.stagnant[minute]
    exhaust = street.exhaust[minute] * still
    pm = street.dust[minute] * (1 + 0.2 * bias["pm"])
    pm10 = (city.particles[minute] + 3.2 * exhaust) * pm * (1 + 0.03 * noise[1])
    fine = min(0.92, 0.6 + 0.09 * still + 0.02 * noise[2])
    gas = street.gases[minute] * (1 + 0.14 * bias["gas"])
    no2 = (8 + 9 * still + 11 * exhaust) * gas * (1 + 0.02 * noise[3])
    payload["pm1"] = round(pm10 * fine * 0.72, 1)
    payload["pm2_5"] = round(pm10 * fine, 1)
    payload["pm10"] = round(pm10, 1)
    payload["no"] = round(max(0.5, (1 + 7 * exhaust * still) * gas * (1 + 0.05 * noise[4])), 1)
    payload["no2"] = round(no2, 1)
    payload["o3"] = round(max(2.0 + abs(noise[5]), city.ozone[minute] - 0.33 * no2 + 0.8 * noise[5]), 1)
    payload["so2"] = round(2.6 + 0.5 * still * gas + 0.15 * noise[6], 1)
    payload["co"] = round(0.18 + 0.1 * still + 0.11 * exhaust * gas, 2)
    payload["co2"] = round(421 + 9 * still + 8 * exhaust * gas + 1.2 * noise[6])


def _weather(payload: dict[str, Any], moment: Moment, bias: dict[str, float]) -> None:
    minute, city, noise = moment.minute, moment.city, moment.noise
    speed = city.wind_speed[minute]
    payload["temperature"] = round(city.temperature[minute] + bias["temperature"] + 0.06 * noise[2], 1)
    payload["humidity"] = round(min(100.0, city.humidity[minute] + 0.4 * noise[3]), 1)
    payload["pressure"] = round(city.pressure[minute] + 0.04 * noise[4], 1)
    payload["wind_speed"] = round(max(0.0, speed * (1 + 0.22 * noise[5])), 1)
    payload["wind_direction"] = round(city.wind_direction[minute] + 22 * noise[6] / sqrt(speed)) % 360
    payload["rainfall"] = round(city.rain[minute] * max(0.2, 1 + 0.25 * noise[1]), 2)
    payload["illuminance"] = round(city.illuminance[minute] * (1 + 0.01 * noise[0]))


def _noise(payload: dict[str, Any], moment: Moment, bias: dict[str, float]) -> None:
    """Levels follow the logarithm of the vehicles; few vehicles make single peaks over a quiet ground."""
    minute, noise = moment.minute, moment.noise
    flow = moment.street.flow[minute]
    passing = 10 * log10(35 * flow + 25 * moment.vehicles + 14)
    rain = 1.8 if moment.city.rain[minute] > 0 else 0.0
    laeq = 39.8 + passing + rain + 3 * bias["noise"] + 0.7 * noise[2]
    swing, spread = 4.6 / (1 + 0.35 * flow), abs(noise[3])
    la50 = laeq - 1.1 - swing
    la90 = la50 - 2.2 - 0.5 * swing - 0.6 * spread
    siren = 11 if noise[4] > SIREN else 0
    payload["laeq"] = round(laeq, 1)
    payload["lafmax"] = round(laeq + 6.5 + swing + 3 * spread + siren, 1)
    payload["lafmin"] = round(la90 - 1.3 - 0.9 * abs(noise[5]), 1)
    payload["la10"] = round(laeq + 1.6 + 0.25 * swing + 0.7 * spread, 1)
    payload["la50"] = round(la50, 1)
    payload["la90"] = round(la90, 1)


def _traffic(payload: dict[str, Any], moment: Moment) -> None:
    """Counts by class that add up, speed that falls with the load, and the detector's share of time under a vehicle."""
    minute, street, noise, vehicles = moment.minute, moment.street, moment.noise, moment.vehicles
    wet = moment.city.rain[minute] > 0
    heavy = min(vehicles, _count(vehicles * street.heavy[minute], noise[1]))
    two_wheeled = _count(vehicles * (0.05 if wet else 0.08 + 0.07 * street.summer), noise[2])
    motorcycles = min(vehicles - heavy, two_wheeled)
    payload["vehicles"] = vehicles
    payload["cars"] = vehicles - heavy - motorcycles
    payload["heavy"] = heavy
    payload["motorcycles"] = motorcycles
    payload["bicycles"] = _count(street.bicycles[minute] * (0.35 if wet else 0.55 + 0.45 * street.summer), noise[3])
    payload["pedestrians"] = _count(street.walkers[minute] * (0.6 if wet else 1), noise[4])
    payload["occupancy"] = 0.0
    if vehicles:
        load = street.flow[minute] / street.peak
        speed = (48 - 3 * wet) * (1 - 0.38 * load * load) + 4.5 * noise[5] / sqrt(vehicles)
        payload["speed"] = round(speed, 1)
        # Six metres of vehicle and loop, on two lanes.
        payload["occupancy"] = round(min(100.0, vehicles * 6 / (speed / 3.6) / INTERVAL / 2 * 100), 1)


def _lighting(payload: dict[str, Any], moment: Moment, standing: tuple[int, ...]) -> None:
    watts, dimming, energy = moment.street.lamp.at(moment.at)
    payload["lit"] = dimming > 0
    payload["dimming"] = dimming
    payload["lighting.power"] = round(watts * (1 + 0.004 * moment.noise[0]), 1)
    payload["lighting.energy"] = (standing[0] + energy) / 1000


def _wifi(payload: dict[str, Any], moment: Moment, standing: tuple[int, ...]) -> None:
    street = moment.street
    i, rest = divmod(moment.elapsed, STEP)
    share = street.online[i] + (street.online[i + 1] - street.online[i]) * rest / STEP
    payload["wifi.clients"] = _count(street.people[moment.minute], moment.noise[1])
    payload["rx_bytes"] = standing[1] + int(street.received * share)
    payload["tx_bytes"] = standing[2] + int(street.sent * share)
