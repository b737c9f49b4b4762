"""The registry of sites and devices: read from files, brought into the database with its history kept, written out."""

from collections.abc import Sequence
from pathlib import Path

from usp.db import Connection
from usp.errors import RegistryError
from usp.models.device import Device, Site
from usp.registry.columns import DEVICES, SITES
from usp.registry.devices import bring_in_device_records, record_of
from usp.registry.files import read_records
from usp.registry.outcome import Changes, Record
from usp.registry.sites import bring_in_site_records

__all__ = ["MILAN", "Changes", "bring_in_devices", "bring_in_sites", "read_devices", "read_sites"]

MILAN = Path(__file__).parents[1] / "data" / "milan"


def read_sites(path: Path) -> list[Site]:
    """The sites of a file. Raises RegistryError with all that is wrong in it."""
    return [
        Site(**record.values) for record in _right(path, read_records(path, SITES), ("name", "title", "lon", "lat"))
    ]


def read_devices(path: Path) -> list[Device]:
    """The devices of a file. Raises RegistryError with all that is wrong in it."""
    return [Device(**record.values) for record in _right(path, read_records(path, DEVICES), ("name", "kind"))]


def _right(path: Path, records: list[Record], required: tuple[str, ...]) -> list[Record]:
    wrong = []
    for record in records:
        columns = {mistake.column for mistake in record.mistakes}
        missing = [c for c in required if c not in record.values and c not in columns]
        texts = [mistake.text for mistake in record.mistakes] + [f"{column} is missing." for column in missing]
        wrong += [f"{path}, {record.where}: {text}" for text in texts]
    if wrong:
        raise RegistryError(" ".join(wrong))
    return records


async def bring_in_sites(connection: Connection, sites: Sequence[Site]) -> Changes:
    """Add the sites, or change those that are there; all or none."""
    report = await bring_in_site_records(connection, [Record("", dict(vars(site))) for site in sites])
    return report.require().changes


async def bring_in_devices(connection: Connection, devices: Sequence[Device]) -> Changes:
    """Add the devices, or change those that are there; all or none. A device elsewhere than before has moved."""
    report = await bring_in_device_records(connection, [record_of(device) for device in devices])
    return report.require().changes
