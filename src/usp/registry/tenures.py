"""Addresses and the times for which each meant a device: hardware is swapped, old frames keep their owner."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from usp.db import Connection
from usp.ingest.bridges.bridge import Sender
from usp.registry.addresses import address_text


@dataclass
class Tenure:
    """A time for which an address means a device; None is without beginning, or without end."""

    key: int | None
    sender: Sender
    device: str
    since: datetime | None
    until: datetime | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of it."""
        return self.until is not None and self.since is not None and self.until <= self.since


class AddressTaken(Exception):
    """Another device has the address."""


class Tenures:
    """All tenures, and what is to be written about them."""

    def __init__(self, tenures: Iterable[Tenure]) -> None:
        self._all = [*tenures]
        self._by_sender: dict[Sender, list[Tenure]] = {}
        self._open: dict[str, list[Tenure]] = {}
        for tenure in self._all:
            self._keep(tenure)
        self._ended: list[Tenure] = []
        self._begun: list[Tenure] = []

    def _keep(self, tenure: Tenure) -> None:
        self._by_sender.setdefault(tenure.sender, []).append(tenure)
        if tenure.until is None:
            self._open.setdefault(tenure.device, []).append(tenure)

    def current(self, device: str) -> list[Tenure]:
        """The tenures of a device that have no end."""
        return self._open.get(device, [])

    def holder(self, sender: Sender) -> str | None:
        """The device that has the address without end."""
        return next((t.device for t in self._by_sender.get(sender, ()) if t.until is None), None)

    def end(self, device: str, at: datetime) -> bool:
        """Let the device's addresses end; whether it had one."""
        ended = self._open.pop(device, [])
        for tenure in ended:
            self._end(tenure, at)
        return bool(ended)

    def begin(
        self, sender: Sender, device: str, since: datetime | None, retired: dict[str, datetime | None]
    ) -> datetime | None:
        """Let the address mean the device from then on, or from as early as nobody else has it; returns since when.

        A retired device keeps its address, so that what it still sends is known; it yields to another one here.
        Raises AddressTaken.
        """
        start = since
        for other in self._by_sender.get(sender, ()):
            if other.until is not None:
                if since is None and (start is None or other.until > start):
                    start = other.until
                elif since is not None and other.until > since:
                    raise AddressTaken(_taken(other))
                continue
            gone = retired.get(other.device)
            if gone is None or (since is not None and since < gone):
                raise AddressTaken(_taken(other))
            start = since or gone
            self._open[other.device].remove(other)
            self._end(other, start)
        begun = Tenure(None, sender, device, start, None)
        self._begun.append(begun)
        self._keep(begun)
        return start

    def _end(self, tenure: Tenure, at: datetime) -> None:
        tenure.until = at
        if tenure.key is not None:
            self._ended.append(tenure)

    async def write(self, connection: Connection) -> None:
        """Write what has ended and begun: first what has ended, since no two may overlap."""
        await connection.executemany(
            "DELETE FROM usp.device_address WHERE id = $1", [(t.key,) for t in self._ended if t.is_empty]
        )
        await connection.executemany(
            "UPDATE usp.device_address SET valid = tstzrange(lower(valid), $2) WHERE id = $1",
            [(t.key, t.until) for t in self._ended if not t.is_empty],
        )
        await connection.executemany(
            "INSERT INTO usp.device_address (network, address, device, valid) "
            "SELECT $1, $2, id, tstzrange($4, NULL) FROM usp.device WHERE name = $3",
            [(*t.sender, t.device, t.since) for t in self._begun],
        )


def _taken(other: Tenure) -> str:
    since = f" since {other.since.isoformat()}" if other.since else ""
    until = f" until {other.until.isoformat()}" if other.until else ""
    advice = "give a later `since`" if other.until else "retire it, or give it another address first"
    return f"{address_text(other.sender)} is the address of {other.device}{since}{until}; {advice}."
