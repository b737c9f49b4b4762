"""Devices in memory, refreshed off the hot path: who may speak, and how what they say is normalised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from usp.db import Connection
from usp.ingest.normalise import Normaliser
from usp.models.profile import DeviceProfile

#: Who changes the registry says so here, and every worker reads it again.
CHANNEL = "usp_registry"


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """What ingestion needs to know of a device."""

    id: int
    kind: str
    profile: str
    normaliser: Normaliser | None
    retired_at: datetime | None


class Registry:
    """The devices as the database last told them. A failed refresh leaves the last good state."""

    def __init__(self, profiles: Mapping[str, DeviceProfile]) -> None:
        self._normalisers = {name: Normaliser(profile) for name, profile in profiles.items()}
        self._devices: dict[str, KnownDevice] = {}

    def find(self, address: str) -> KnownDevice | None:
        """The device that speaks under this name."""
        return self._devices.get(address)

    def __len__(self) -> int:
        return len(self._devices)

    async def refresh(self, connection: Connection) -> list[str]:
        """Read the devices again; returns the names of those whose profile is not there."""
        records = await connection.fetch("SELECT id, name, kind, profile, retired_at FROM usp.device")
        self._devices = {
            r["name"]: KnownDevice(
                r["id"], r["kind"], r["profile"], self._normalisers.get(r["profile"]), r["retired_at"]
            )
            for r in records
        }
        return [name for name, device in self._devices.items() if device.normaliser is None]


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
