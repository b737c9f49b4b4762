"""Cumulative registers that need no memory: the reading at a day's start is the sum of all days since an epoch."""

from collections.abc import Callable
from datetime import date

#: Where every register stands at its initial reading; earlier days subtract, so that any day can be simulated.
EPOCH = date(2026, 7, 1).toordinal()


class Registers:
    """Readings of a device's registers at the start of a day, in whole Wh, bytes and the like.

    Whole numbers add up to the same wherever the sum begins, so a register never steps back between days.
    """

    def __init__(self, initial: tuple[int, ...], total: Callable[[int], tuple[int, ...]]) -> None:
        self._total = total
        self._known = {EPOCH: initial}
        self._first = self._last = EPOCH

    def at_start(self, number: int) -> tuple[int, ...]:
        """Return the readings when day `number` begins."""
        while self._last < number:
            standing = self._known[self._last]
            self._last += 1
            self._known[self._last] = tuple(map(int.__add__, standing, self._total(self._last - 1)))
        while self._first > number:
            standing = self._known[self._first]
            self._first -= 1
            self._known[self._first] = tuple(map(int.__sub__, standing, self._total(self._first)))
        return self._known[number]
