"""Devices in memory, refreshed off the hot path: who may speak, and how what they say is normalised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
from asyncpg import Record

from usp.db import Connection
from usp.ingest.bridges.bridge import Sender
from usp.ingest.codecs import Codec
from usp.ingest.normalise import Normaliser
from usp.models.profile import DeviceProfile

#: Who changes the registry says so here, and every worker reads it again.
CHANNEL = "usp_registry"


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """What ingestion needs to know of a device."""

    id: int
    name: str
    kind: str
    profile: str
    parent: int | None
    normaliser: Normaliser | None
    codec: Codec | None
    retired_at: datetime | None


class _Tenure(NamedTuple):
    """A time for which a network address meant a device."""

    since: datetime
    until: datetime
    device: KnownDevice


class Registry:
    """The devices as the database last told them. A failed refresh leaves the last good state."""

    def __init__(self, profiles: Mapping[str, DeviceProfile], codecs: Mapping[str, Codec]) -> None:
        """`codecs` are the decoders of payload bytes, by profile."""
        self.learn(profiles, codecs)
        self._devices: dict[str, KnownDevice] = {}
        self._addresses: dict[Sender, list[_Tenure]] = {}

    def learn(self, profiles: Mapping[str, DeviceProfile], codecs: Mapping[str, Codec]) -> None:
        """Use these from the next refresh on."""
        self._normalisers = {name: Normaliser(profile) for name, profile in profiles.items()}
        self._codecs = codecs

    def find(self, sender: Sender, at: datetime | None = None) -> KnownDevice | None:
        """The device that spoke under this name or, at that time, under this address; a name goes before an alias."""
        if not sender.network:
            device = self._devices.get(sender.address)
            if device is not None:
                return device
        tenures = self._addresses.get(sender, ())
        if at is None:
            return tenures[-1].device if tenures else None
        return next((t.device for t in tenures if t.since <= at < t.until), None)

    def child(self, parent: KnownDevice, name: str) -> KnownDevice | None:
        """The device that is a part of another, such as a lane, a connector or a flat."""
        found = self._devices.get(f"{parent.name}-{name}")
        return found if found is not None and found.parent == parent.id else None

    def __len__(self) -> int:
        return len(self._devices)

    async def refresh(self, connection: Connection) -> list[str]:
        """Read the devices again; returns the names of those whose profile is not there."""
        addresses = await connection.fetch(
            "SELECT network, address, device, coalesce(lower(valid), '-infinity') AS since, "
            "coalesce(upper(valid), 'infinity') AS until FROM usp.device_address ORDER BY network, address, valid"
        )
        # Last, so that every device with an address is among them.
        devices = await connection.fetch("SELECT id, name, kind, profile, parent, retired_at FROM usp.device")
        self._devices = {d["name"]: self._known(d) for d in devices}
        by_id = {device.id: device for device in self._devices.values()}
        found: dict[Sender, list[_Tenure]] = {}
        for a in addresses:
            tenure = _Tenure(_finite(a["since"]), _finite(a["until"]), by_id[a["device"]])
            found.setdefault(Sender(a["network"], a["address"]), []).append(tenure)
        self._addresses = found
        return [name for name, device in self._devices.items() if device.normaliser is None]

    def _known(self, record: Record) -> KnownDevice:
        profile = record["profile"]
        return KnownDevice(**record, normaliser=self._normalisers.get(profile), codec=self._codecs.get(profile))


def _finite(time: datetime) -> datetime:
    # asyncpg gives PostgreSQL's infinities as the first and last naive datetimes.
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


async def publish_profiles(connection: Connection, profiles: Mapping[str, DeviceProfile]) -> None:
    """Show the profiles' intervals and holds to the database, where queries need them."""
    await connection.executemany(
        """
        INSERT INTO usp.profile AS p (name, title, kind, interval, max_hold, definition)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (name) DO UPDATE SET title = excluded.title, kind = excluded.kind,
            interval = excluded.interval, max_hold = excluded.max_hold, definition = excluded.definition
        WHERE p.definition <> excluded.definition
        """,
        [
            (
                p.name,
                p.title,
                p.kind,
                p.interval,
                p.max_hold,
                orjson.dumps(p.model_dump(mode="json")).decode(),
            )
            for p in profiles.values()
        ],
    )
