"""One car at a charging point: when it comes, what it takes and when it goes."""

from dataclasses import dataclass, replace
from math import exp, log

#: Share of the full power at which a battery tapers off towards 100 %.
LAST_POWER = 0.12


@dataclass(frozen=True, slots=True)
class Session:
    """A charge: constant power up to `bend` percent, then falling in proportion to the room left in the battery.

    In closed form, so that a year of sessions costs little: with x the charge above the bend, dx/dt = P/C (1 - kx).
    """

    start: int
    until: int
    capacity: float
    begin: float
    watts: float
    bend: float
    phases: int

    @classmethod
    def plan(
        cls, start: int, capacity: float, begin: float, target: float, watts: float, *, bend: float, phases: int
    ) -> "Session":
        """Return a charge that runs until the battery is at `target` percent."""
        session = cls(start, start, capacity, begin, watts, bend, phases)
        return session.ended_by(start + int(session._seconds_to(target)))

    def ended_by(self, at: int) -> "Session":
        """Return the charge ended at `at`."""
        return Session(self.start, at, self.capacity, self.begin, self.watts, self.bend, self.phases)

    def cut(self, at: int) -> "Session":
        """Return what there is of the charge if the cable is pulled at `at`."""
        return self.ended_by(at) if at < self.until else self

    @property
    def _steepness(self) -> float:
        return (1 - LAST_POWER) / (100 - self.bend)

    @property
    def _knee(self) -> float:
        """Seconds of constant power."""
        return max(0.0, self.bend - self.begin) / 100 * self.capacity / self.watts * 3600

    def _seconds_to(self, soc: float) -> float:
        if soc <= self.bend:
            return (soc - self.begin) / 100 * self.capacity / self.watts * 3600
        above = max(self.begin, self.bend) - self.bend
        rate = self.watts / self.capacity * 100 / 3600
        k = self._steepness
        return self._knee + log((1 - k * above) / (1 - k * (soc - self.bend))) / (k * rate)

    def soc(self, at: int) -> float:
        """Charge of the battery in percent."""
        elapsed = min(at, self.until) - self.start
        if elapsed <= self._knee:
            return self.begin + self.watts * elapsed / 3600 / self.capacity * 100
        above = max(self.begin, self.bend) - self.bend
        rate = self.watts / self.capacity * 100 / 3600
        k = self._steepness
        return self.bend + (1 - (1 - k * above) * exp(-k * rate * (elapsed - self._knee))) / k

    def power(self, at: int) -> float:
        """Watts at a second during the charge."""
        above = self.soc(at) - self.bend
        return self.watts * (1 - self._steepness * above) if above > 0 else self.watts

    def energy(self, at: int) -> int:
        """Wh delivered until then."""
        return int((self.soc(at) - self.begin) / 100 * self.capacity)


@dataclass(frozen=True, slots=True)
class Visit:
    """A stay at a point, from a reservation on if there is one; without a session, an outage of the point.

    `gone` is when the point is available again.
    """

    arrival: int
    plugged: int
    session: Session | None
    leaving: int
    gone: int

    def before(self, following: "Visit | None") -> "Visit | None":
        """Cut the visit so that it is over a minute before the following one; None if nothing is left of it."""
        if following is None or self.gone <= following.arrival - 60:
            return self
        gone = following.arrival - 60
        if self.session is None:
            return replace(self, gone=gone) if gone > self.arrival else None
        leaving = min(self.leaving, gone - 40)
        if leaving < self.session.start + 120:
            return None
        return replace(self, gone=gone, leaving=leaving, session=self.session.cut(leaving))

    def states(self) -> list[tuple[int, str]]:
        """When the point enters which state because of this visit."""
        if self.session is None:
            return [(self.arrival, "faulted"), (self.gone, "available")]
        states = [(self.arrival, "reserved")] if self.arrival < self.plugged else []
        states += [(self.plugged, "preparing"), (self.session.start, "charging")]
        if self.session.until < self.leaving:
            states.append((self.session.until, "suspended"))
        return [*states, (self.leaving, "finishing"), (self.gone, "available")]
