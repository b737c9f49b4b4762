"""A circuit breaker: whoever breaks limits several times in a row is left alone, for longer each time."""

import time
from collections.abc import Callable

#: Frames that must go well in a row before the pauses begin at the shortest again.
PROBATION = 1_000


class Breaker:
    """Tells whether a codec may run. After a pause, one failure is enough for the next."""

    def __init__(self, failures: int, pause: tuple[float, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pauses = pause
        self._clock = clock
        self._failures = 0
        self._successes = 0
        self._pause = pause[0]
        self._until = 0.0
        #: What was wrong last.
        self.reason = ""

    @property
    def left(self) -> float:
        """Seconds for which the codec is still left alone; 0 where it may run."""
        return max(0.0, self._until - self._clock()) if self._until else 0.0

    @property
    def suspicious(self) -> bool:
        """Whether the last thing that happened was a failure."""
        return self._failures > 0

    def succeeded(self, count: int) -> None:
        """Take note of frames that kept the limits."""
        self._failures = 0
        self._until = 0.0
        self._successes += count
        if self._successes >= PROBATION:
            self._pause = self._pauses[0]

    def failed(self, reason: str, *, at_once: bool = False) -> bool:
        """Take note of a broken limit; whether that opened the breaker."""
        self.reason = reason
        self._successes = 0
        self._failures += 1
        if self._failures < self._limit and not self._until and not at_once:
            return False
        self._until = self._clock() + self._pause
        self._pause = min(self._pause * 2, self._pauses[1])
        return True
