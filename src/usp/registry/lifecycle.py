"""What happens to a device that stands in the street: new hardware, another place, the end."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from usp.db import Connection
from usp.errors import RegistryError
from usp.registry.devices import bring_in_device_records
from usp.registry.outcome import Outcome, Record


async def replace(connection: Connection, name: str, address: str, at: datetime | None = None) -> Outcome:
    """From now on, or from that time, other hardware speaks for the device. Raises RegistryError."""
    return await _change(connection, name, {"address": address, "since": at})


async def move(
    connection: Connection, name: str, place: dict[str, Any], at: datetime | None = None, *, correct: bool = False
) -> Outcome:
    """From now on, or from that time, it stands elsewhere. `place` has site, lon, lat, approximate.

    With `correct` it never stood where it was said to stand. Raises RegistryError.
    """
    values = {"site": None, "lon": None, "lat": None, "approximate": False} | place
    return await _change(connection, name, values | {"since": at}, correct=correct)


async def retire(connection: Connection, name: str, at: datetime | None = None) -> Outcome:
    """It has ended; what it measures from then on is refused. It keeps its address until another device gets it.

    Who has been retired stays so since then, unless another time is given. Raises RegistryError.
    """
    before = await connection.fetchval("SELECT retired_at FROM usp.device WHERE name = $1", name)
    return await _change(connection, name, {"retired_at": at or before or datetime.now(UTC)})


async def restore(connection: Connection, name: str) -> Outcome:
    """It has not ended after all."""
    return await _change(connection, name, {"retired_at": None})


async def _change(connection: Connection, name: str, values: dict[str, Any], *, correct: bool = False) -> Outcome:
    known = [r["name"] for r in await connection.fetch("SELECT name FROM usp.device")]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise RegistryError(f"There is no device {name!r}{f', did you mean {near[0]!r}?' if near else '.'}")
    if values.get("since", 0) is None:
        del values["since"]
    report = await bring_in_device_records(connection, [Record("", {"name": name} | values)], correct=correct)
    return report.require().outcomes[0]
