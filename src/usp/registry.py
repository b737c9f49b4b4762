"""The registry of sites and devices: read from CSV, and brought into the database with its history kept."""

import csv
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from usp.db import Connection
from usp.errors import RegistryError
from usp.ingest.registry import CHANNEL
from usp.models.dataset import Visibility
from usp.models.device import Device, Site

MILAN = Path(__file__).parent / "data" / "milan"
_NUMBERS = {"lon", "lat"}

_Thing = TypeVar("_Thing", Site, Device)


@dataclass(frozen=True)
class Changes:
    """What bringing in a list of devices or sites did."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0


def read_sites(path: Path) -> list[Site]:
    """Sites from a CSV file with a header; see data/milan/sites.csv."""
    return list(_read(path, Site))


def read_devices(path: Path) -> list[Device]:
    """Devices from a CSV file with a header; see data/milan/devices.csv."""
    return list(_read(path, Device))


def _read(path: Path, thing: type[_Thing]) -> Iterator[_Thing]:
    known = {f.name for f in fields(thing)}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            unknown = set(reader.fieldnames or ()) - known
            if unknown:
                raise RegistryError(
                    f"{path}: column {min(unknown)!r} is not known; known are {', '.join(sorted(known))}."
                )
            for record in reader:
                yield _thing(path, reader.line_num, record, thing)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RegistryError(f"{path} cannot be read: {error}.") from None


def _thing(path: Path, line: int, record: dict[str, Any], thing: type[_Thing]) -> _Thing:
    if None in record:
        raise RegistryError(f"{path}, line {line}: more fields than the header names.")
    try:
        given = {name: _value(name, text.strip()) for name, text in record.items() if text and text.strip()}
        for column in fields(thing):
            if column.default is MISSING and column.default_factory is MISSING and column.name not in given:
                raise ValueError(f"{column.name} is missing")
        return thing(**given)
    except RegistryError as error:
        raise RegistryError(f"{path}, line {line}: {error.detail}") from None
    except ValueError as error:
        raise RegistryError(f"{path}, line {line}: {error}.") from None


def _value(name: str, text: str) -> Any:
    if name in _NUMBERS:
        return float(text)
    if name == "approximate":
        if text not in {"true", "false"}:
            raise ValueError(f"approximate is true or false, not {text!r}")
        return text == "true"
    if name == "visibility":
        return Visibility(text)
    if name == "since":
        since = datetime.fromisoformat(text)
        if since.tzinfo is None:
            raise ValueError(f"since {text!r} has no offset")
        return since
    return text


async def bring_in_sites(connection: Connection, sites: list[Site]) -> Changes:
    """Add the sites, or change those that are there; all or none."""
    added = changed = 0
    async with connection.transaction():
        for site in sites:
            outcome = await connection.fetchval(
                """
                INSERT INTO usp.site AS s (name, title, address, lon, lat, approximate)
                VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (name) DO UPDATE SET title = excluded.title, address = excluded.address,
                    lon = excluded.lon, lat = excluded.lat, approximate = excluded.approximate
                WHERE (s.title, s.address, s.lon, s.lat, s.approximate)
                    <> (excluded.title, excluded.address, excluded.lon, excluded.lat, excluded.approximate)
                RETURNING xmax = 0
                """,
                site.name, site.title, site.address, site.lon, site.lat, site.approximate,
            )  # fmt: skip
            added += outcome is True
            changed += outcome is False
        await connection.execute(f"NOTIFY {CHANNEL}")
    return Changes(added, changed, 0, len(sites) - added - changed)


async def bring_in_devices(connection: Connection, devices: list[Device]) -> Changes:
    """Add the devices, or change those that are there; all or none. A device elsewhere than before has moved."""
    counts = dict.fromkeys(("added", "changed", "moved", "unchanged"), 0)
    async with connection.transaction():
        # Parents before children, whatever their order in the file.
        for device in sorted(devices, key=lambda d: d.parent is not None):
            outcome = await _bring_in(connection, device)
            if await _place(connection, device) and outcome == "unchanged":
                outcome = "moved"
            counts[outcome] += 1
        await connection.execute(f"NOTIFY {CHANNEL}")
    return Changes(**counts)


async def _bring_in(connection: Connection, device: Device) -> str:
    if not await connection.fetchval("SELECT true FROM usp.profile WHERE name = $1", device.profile):
        raise RegistryError(f"{device.name}: there is no profile {device.profile!r}; `usp profiles list` shows them.")
    parent = None
    if device.parent is not None:
        parent = await connection.fetchval("SELECT id FROM usp.device WHERE name = $1", device.parent)
        if parent is None:
            raise RegistryError(f"{device.name}: there is no device {device.parent!r} to be its parent.")
    kind = await connection.fetchval("SELECT kind FROM usp.device WHERE name = $1", device.name)
    if kind is not None and kind != device.kind:
        raise RegistryError(f"{device.name} is a {kind} and cannot become a {device.kind}; give it another name.")
    added = await connection.fetchval(
        """
        INSERT INTO usp.device AS d (name, title, kind, category, profile, parent, visibility)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (name) DO UPDATE SET title = excluded.title, category = excluded.category,
            profile = excluded.profile, parent = excluded.parent, visibility = excluded.visibility
        WHERE (d.title, d.category, d.profile, d.parent, d.visibility) IS DISTINCT FROM
            (excluded.title, excluded.category, excluded.profile, excluded.parent, excluded.visibility)
        RETURNING xmax = 0
        """,
        device.name, device.title, device.kind, device.category, device.profile, parent, device.visibility,
    )  # fmt: skip
    return {True: "added", False: "changed", None: "unchanged"}[added]


async def _place(connection: Connection, device: Device) -> bool:
    """Let a new place begin where it differs from the last one. The first place reaches back without end."""
    if device.site is None and device.lon is None:
        return False
    site = None
    if device.site is not None:
        site = await connection.fetchval("SELECT id FROM usp.site WHERE name = $1", device.site)
        if site is None:
            raise RegistryError(f"{device.name}: there is no site {device.site!r}; bring in its sites first.")
    here = (site, device.lon, device.lat, device.approximate)
    key = await connection.fetchval("SELECT id FROM usp.device WHERE name = $1", device.name)
    last = await connection.fetchrow(
        "SELECT id, site, lon, lat, approximate, lower(valid) AS since FROM usp.placement "
        "WHERE device = $1 AND upper_inf(valid)",
        key,
    )
    if last is not None and here == (last["site"], last["lon"], last["lat"], last["approximate"]):
        return False
    since = device.since
    if last is not None:
        since = since or await connection.fetchval("SELECT now()")
        if last["since"] is not None and since <= last["since"]:
            raise RegistryError(
                f"{device.name}: it stands elsewhere since {last['since'].isoformat()}; `since` must be later."
            )
        await connection.execute(
            "UPDATE usp.placement SET valid = tstzrange(lower(valid), $2) WHERE id = $1", last["id"], since
        )
    await connection.execute(
        "INSERT INTO usp.placement (device, site, lon, lat, approximate, valid) "
        "VALUES ($1, $2, $3, $4, $5, tstzrange($6, NULL))",
        key, *here, since,
    )  # fmt: skip
    return last is not None
