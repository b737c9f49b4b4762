"""Randomness without state: long tapes of noise that every device reads at a place of its own.

Reading a tape needs only the time, so a simulation can go on anywhere. A tape repeats after 400 days.
"""

import math
from functools import lru_cache
from hashlib import blake2b
from random import Random

from usp_simulators.days import STEP, Day

LENGTH = 400 * 86400 // STEP
#: What may be read past the end without wrapping: a long day.
MARGIN = 320


class Tapes:
    """White noise, and the same smoothed to wander within a quarter of an hour, three hours, or a day and more."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        white = [rng.gauss(0, 1) for _ in range(LENGTH)]
        self.seed = seed
        self.white = _closed(white)
        self.quarter = _smooth(white, 3)
        self.hours = _smooth(white, 36)
        self.days = _smooth(white, 300)

    def place(self, *names: str) -> int:
        """Return where on the tapes something of these names reads."""
        return self._hash(*names) % LENGTH

    def random(self, name: str, number: int) -> Random:
        """Return a generator for the events of one device on one day."""
        return Random(self._hash(name, str(number)))

    def uniform(self, *names: str) -> float:
        """Return a fixed number from 0 to 1 of something of these names: its character."""
        return self._hash(*names) / 2**64

    def _hash(self, *names: str) -> int:
        text = "|".join((str(self.seed), *names)).encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest())


@lru_cache(maxsize=4)
def tapes(seed: int) -> Tapes:
    """Return the tapes of a seed; making them takes a moment."""
    return Tapes(seed)


def read(tape: list[float], place: int, day: Day) -> list[float]:
    """Read a day from a tape: a point at each step and one at the end, where the next day begins."""
    first = (place + day.start // STEP) % LENGTH
    return tape[first : first + day.steps + 1]


def _closed(values: list[float]) -> list[float]:
    return values + values[:MARGIN]


def _smooth(white: list[float], length: float) -> list[float]:
    """Smooth twice with an exponential of `length` steps, going round once first so that the ends meet."""
    keep = math.exp(-1 / length)
    values = white
    for _ in range(2):
        level, previous = 0.0, values
        for value in previous[-int(8 * length) :]:
            level = keep * level + value
        values = []
        for value in previous:
            level = keep * level + value
            values.append(level)
    scale = 1 / math.sqrt(sum(v * v for v in values) / len(values))
    return _closed([v * scale for v in values])
