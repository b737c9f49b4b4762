"""The air over the district: weather, light and background pollution, which all devices share."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from usp_simulators.days import STEP, Day, sine_of_elevation
from usp_simulators.noise import Tapes, read

#: Above this much of the hidden wetness it rains: about one hour in twelve.
RAIN_ABOVE = 1.35

_FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class CityDay:
    """A day's weather: a value for each minute. `stagnant` is 1 in ordinary air, more when nothing moves."""

    temperature: list[float]
    humidity: list[float]
    pressure: list[float]
    wind_speed: list[float]
    wind_direction: list[float]
    rain: list[float]
    illuminance: list[float]
    stagnant: list[float]
    particles: list[float]
    ozone: list[float]


class City:
    """The weather of any day, out of the tapes."""

    def __init__(self, tapes: Tapes) -> None:
        self._tapes = tapes
        self._place = {
            name: tapes.place("city", name)
            for name in ("front", "shower", "warmth", "moisture", "wind", "direction", "particles")
        }
        self.day = lru_cache(maxsize=3)(self._day)
        self.outdoor = lru_cache(maxsize=3)(self._temperature)
        self.sunlight = lru_cache(maxsize=800)(self._sunlight)

    def _days(self, name: str, day: Day) -> list[float]:
        return read(self._tapes.days, self._place[name], day)

    def _hours(self, name: str, day: Day) -> list[float]:
        return read(self._tapes.hours, self._place[name], day)

    def _wetness(self, day: Day) -> list[float]:
        return [
            0.6 * front + 0.8 * shower
            for front, shower in zip(self._days("front", day), self._hours("shower", day), strict=True)
        ]

    def _sunlight(self, day: Day) -> list[float]:
        """Irradiance of a level surface in W/m² at each step: clear sky, dimmed by cloud (Kasten and Czeplak)."""
        return [
            1040 * max(0.0, height) ** 1.2 * (1 - 0.75 * _cloud(wet) ** 3.4)
            for height, wet in zip(sine_of_elevation(day), self._wetness(day), strict=True)
        ]

    def _temperature(self, day: Day) -> list[float]:
        """Air temperature in °C at each step: season, front, hour of the sun."""
        values = []
        tapes = zip(self._days("front", day), self.mild(day), self._hours("moisture", day), strict=True)
        for i, (front, mild, moisture) in enumerate(tapes):
            swing = (2.4 + 3.4 * day.summer) * (1.15 - 0.7 * _cloud(front))
            solar = (day.start + i * STEP) % 86400 / 3600 + 0.6
            daily = math.cos((solar - 15) * math.pi / 12) + 0.18 * math.cos((solar - 15) * math.pi / 6)
            values.append(mild + swing * daily + 0.25 * moisture)
        return values

    def mild(self, day: Day) -> list[float]:
        """Temperature without the course of the day, at each step: what walls feel."""
        warmth, front = self._days("warmth", day), self._days("front", day)
        return [3.6 + 22.4 * day.summer + 2.1 * w - 0.9 * f for w, f in zip(warmth, front, strict=True)]

    def _day(self, day: Day) -> CityDay:
        temperature = self.outdoor(day)
        wetness = self._wetness(day)
        sunlight = self.sunlight(day)
        wind = self._wind(day, sunlight)
        stagnant = [
            min(
                2.6,
                max(0.45, (0.75 + 0.55 * (1 - day.summer)) * math.exp(-0.33 * (speed - 1.6)) * (1.25 - light / 1400)),
            )
            for speed, light in zip(wind, sunlight, strict=True)
        ]
        moisture = zip(temperature, self._days("warmth", day), self._hours("moisture", day), wetness, strict=True)
        return CityDay(
            temperature=minutes(temperature),
            humidity=minutes([_humidity(day, *at) for at in moisture]),
            pressure=minutes([1001.5 - 5.5 * front for front in self._days("front", day)]),
            wind_speed=minutes(wind),
            wind_direction=minutes(self._direction(day)),
            rain=minutes([max(0.0, wet - RAIN_ABOVE) * (1.6 + 2.2 * day.summer) / 60 for wet in wetness]),
            illuminance=minutes(_illuminance(day, sunlight)),
            stagnant=minutes(stagnant),
            particles=minutes(
                [
                    (15 + 21 * (1 - day.summer) ** 2)
                    * math.exp(0.42 * load)
                    * air**0.5
                    * math.exp(-0.3 * max(0.0, wet))
                    for load, air, wet in zip(self._days("particles", day), stagnant, wetness, strict=True)
                ]
            ),
            ozone=minutes(self._ozone(day, stagnant)),
        )

    def _wind(self, day: Day, sunlight: list[float]) -> list[float]:
        gusts = zip(self._hours("wind", day), self._days("wind", day), sunlight, strict=True)
        return [0.3 + math.exp(0.35 * hours + 0.4 * days) * (0.9 + light / 900) for hours, days, light in gusts]

    def _direction(self, day: Day) -> list[float]:
        """Unwrapped degrees, so that they can be interpolated; readers take the remainder."""
        turns = zip(self._days("direction", day), self._hours("direction", day), strict=True)
        return [430 + 130 * days + 45 * hours for days, hours in turns]

    def _ozone(self, day: Day, stagnant: list[float]) -> list[float]:
        """Made by light out of the morning's air, two hours behind the sun."""
        sunlight = self.sunlight(day)
        lagged = [0.0] * 24 + sunlight[: len(sunlight) - 24]
        return [
            18 + 34 * day.summer + lag / 1000 * (20 + 75 * day.summer) - 9 * air
            for lag, air in zip(lagged, stagnant, strict=True)
        ]


def _illuminance(day: Day, sunlight: list[float]) -> list[float]:
    """Daylight, twilight, and the 9 lx that lamps give the night."""
    heights = (math.degrees(math.asin(height)) for height in sine_of_elevation(day))
    return [
        light * 112 + 420 * math.exp(min(0.0, height) / 1.5) + (9 if height < -2 else 0)
        for light, height in zip(sunlight, heights, strict=True)
    ]


def _cloud(wet: float) -> float:
    """Share of the sky that is covered."""
    return 1 / (1 + math.exp(-2.2 * (wet - 0.2)))


def _humidity(day: Day, temperature: float, warmth: float, moisture: float, wet: float) -> float:
    """Relative humidity from the dew point (Magnus), which follows the air mass and rises in rain."""
    dew = 0.6 + 14.6 * day.summer + 1.7 * warmth + 1.1 * moisture + 2.2 * max(0.0, wet)
    # Air nears saturation, but does not pass it.
    dew = temperature - math.log1p(math.exp(1.3 * (temperature - dew))) / 1.3
    return 100 * math.exp(17.625 * dew / (243.04 + dew) - 17.625 * temperature / (243.04 + temperature))


def minutes(points: list[float]) -> list[float]:
    """Draw straight lines between points at each step: a value for each minute."""
    return [a + (b - a) * share for a, b in pairwise(points) for share in _FIFTHS] + points[-1:]
