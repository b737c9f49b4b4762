"""Registers a sender that nobody knew, and takes up what it has sent so far, so that no frame is lost."""

import asyncio
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from usp.candidates import Candidate, candidates
from usp.db import Connection
from usp.errors import RegistryError
from usp.ingest.bridges.bridge import Sender
from usp.ingest.replay import Replayer, ReplayRuns
from usp.models.device import IDENTIFIER, device_mistakes
from usp.models.reasons import Reason
from usp.models.rejection import RejectionFilter
from usp.models.tables import DEAD_AFTER_S
from usp.registry.addresses import address_text, parse_address
from usp.registry.devices import bring_in_device_records
from usp.registry.outcome import Record
from usp.registry.standing import Standing, read_standing

#: Workers hear of a change within milliseconds; what they were writing just then stands a moment later.
QUIET_S = 2.0
#: They read the registry every 30 s in any case; what still comes as unknown after that has another cause.
PATIENCE_S = 60.0
_PAUSE_S = 0.25

#: What waits of a registered device until its profile, or a codec that can be trusted, is there.
NOT_UNDERSTOOD = (Reason.NO_PROFILE, Reason.NO_CODEC, Reason.CODEC_LIMIT, Reason.CODEC_TRIPPED)

# A part that is missing is not what the whole device waits for.
_WAITING = """
    usp.rejection r LEFT JOIN usp.device d ON d.id = r.device
    WHERE r.resolved_at IS NULL AND r.reason = ANY($1)
        AND ($2::text IS NULL OR r.address = $2) AND ($3::text IS NULL OR d.name = $3)
        AND ($4::text IS NULL OR r.field = $4)
        AND ($4::text IS NOT NULL OR r.reason <> 'unknown_device' OR r.device IS NULL)
"""

_NO_NAME = re.compile(r"[^a-z0-9]+")


@dataclass
class Taken:
    """What became of what waited. `resolved` is stored now, or stood there already.

    `refused` stays, by today's reason; `left` was not reached in time.
    """

    resolved: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    left: int = 0
    #: Came beyond what is kept of one unknown sender, or was too large to be kept.
    not_kept: int = 0


@dataclass(frozen=True)
class Approval:
    """The device as it stands now, whether it stood there before, and what became of what waited."""

    name: str
    address: str
    device: dict[str, Any]
    was_there: bool
    taken: Taken


@dataclass(frozen=True)
class Waiting:
    """Which rejections wait for a sender, or for a part of a device.

    Of `reasons` more may come while workers have not heard of the change. Of `also` only what waits already is taken
    up: a device that still cannot be understood would never be done.
    """

    address: str | None = None
    device: str | None = None
    part: str | None = None
    reasons: tuple[Reason, ...] = (Reason.UNKNOWN_DEVICE, Reason.RETIRED_DEVICE)
    also: tuple[Reason, ...] = ()

    async def ids(self, connection: Connection, *, more: bool = False) -> list[int]:
        """Their numbers, oldest first; with `more` only of those reasons of which more may come."""
        query = f"SELECT r.id FROM {_WAITING} AND r.payload IS NOT NULL ORDER BY r.id"
        records = await connection.fetch(query, *self._values(self.reasons if more else self.reasons + self.also))
        return [record["id"] for record in records]

    async def not_kept(self, connection: Connection) -> int:
        """How many cannot be taken up, since their bytes were not kept."""
        query = f"SELECT count(*) FROM {_WAITING} AND r.payload IS NULL"
        large = await connection.fetchval(query, *self._values(self.reasons + self.also))
        beyond = await connection.fetchval(
            "SELECT sum(total - kept)::bigint FROM usp.rejection_tally WHERE address = $1 AND reason = ANY($2)",
            self.address,
            [Reason.UNKNOWN_DEVICE, *self.also],
        )
        return int(large or 0) + int(beyond or 0)

    def _values(self, reasons: tuple[Reason, ...]) -> tuple[Any, ...]:
        return [*reasons], self.address, self.device, self.part


async def take_up(connection: Connection, replayer: Replayer, waiting: Waiting) -> Taken:
    """Replay what waits until a look a little later finds nothing more.

    Frames that come while the workers have not heard of the change are refused once more; they are found by the
    next look.
    """
    clock = asyncio.get_running_loop().time
    began = quiet = clock()
    taken, seen = Taken(), set[int]()
    working = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM usp.worker WHERE heartbeat_at > now() - make_interval(secs => $1))", DEAD_AFTER_S
    )
    while True:
        ids = [number for number in await waiting.ids(connection, more=bool(seen)) if number not in seen]
        if ids and await _replay(replayer, ids, taken):
            seen.update(ids)
            quiet = clock()
        elif not ids and (not working or clock() - quiet >= QUIET_S):
            break
        if clock() - began > PATIENCE_S:
            taken.left = len(set(await waiting.ids(connection, more=True)) - seen)
            break
        await asyncio.sleep(_PAUSE_S)
    taken.not_kept = await waiting.not_kept(connection)
    return taken


async def _replay(replayer: Replayer, ids: list[int], taken: Taken) -> bool:
    """Take up these; False if somebody else is replaying just now."""
    try:
        reached = [progress async for progress in replayer.replay(RejectionFilter(ids=tuple(ids)))]
    except ReplayRuns:
        return False
    taken.resolved += reached[-1].resolved
    taken.refused += reached[-1].refused
    return True


async def approve(
    connection: Connection, replayer: Replayer, address: str, wish: dict[str, Any], *, name: str | None = None
) -> Approval:
    """Register who sends from an address, and take up what it has sent.

    `wish` has columns of a device: `profile`, and whatever else is known. Without a name it is called as in its
    network. Who is registered already stays as he is, and what waits of him is taken up. Raises RegistryError.
    """
    standing = await read_standing(connection)
    found, sender = await _candidate(connection, address)
    holder = _holder(standing, sender)
    retired_at = None if holder is None else standing.devices[holder]["retired_at"]
    if holder is not None and retired_at is not None and (found is None or not sender.network):
        raise RegistryError(
            f"{address} is {holder}, retired at {retired_at.isoformat()}; `usp devices retire {holder} --undo` takes "
            "that back, and `usp devices replace` gives its address to another device."
        )
    if holder is not None and retired_at is None:
        _check_equal(standing, holder, wish, name)
        name = holder
    else:
        if found is None:
            raise RegistryError(
                f"Nothing waits from {address!r}; `usp devices candidates` lists who waits. "
                "A device that has not sent yet is registered by `usp devices import`."
            )
        name = _name(standing, found, name)
        values = {column: value for column, value in wish.items() if value is not None} | {"name": name}
        if found.parent is not None:
            values["parent"] = found.parent
        elif sender != Sender("", name):
            values["address"] = address_text(sender)
        values.setdefault("title", found.label.name)
        report = await bring_in_device_records(connection, [Record("", values)])
        report.require()
    taken = await take_up(connection, replayer, _waiting(sender, found))
    device = dict((await read_standing(connection)).devices[name])
    return Approval(name, address_text(sender), device, holder == name, taken)


def _waiting(sender: Sender, found: Candidate | None) -> Waiting:
    if found is not None and found.parent is not None:
        part = sender.address.removeprefix(f"{found.parent}-")
        return Waiting(device=found.parent, part=part, reasons=(Reason.UNKNOWN_DEVICE,))
    return Waiting(address=sender.address, also=NOT_UNDERSTOOD)


async def _candidate(connection: Connection, address: str) -> tuple[Candidate | None, Sender]:
    """Who waits at an address, written as by the network or by people."""
    try:
        parsed = parse_address(address)
    except ValueError:
        parsed = Sender("", address)
    found = await candidates(connection, {}, addresses=[address, parsed.address])
    wanted = [c for c in found if c.sender == parsed] or [c for c in found if c.sender.address == address]
    return (wanted[0], wanted[0].sender) if wanted else (None, parsed)


def _holder(standing: Standing, sender: Sender) -> str | None:
    if not sender.network and sender.address in standing.devices:
        return sender.address
    return standing.tenures.holder(sender)


def _check_equal(standing: Standing, holder: str, wish: dict[str, Any], name: str | None) -> None:
    """Approving twice is nothing; approving as something else is a mistake."""
    device = {**standing.devices[holder]}
    place = standing.places.get(holder)
    if place is not None:
        device |= {"site": place.site, "lon": place.lon, "lat": place.lat}
    wanted = {column: value for column, value in (wish | {"name": name}).items() if value is not None}
    other = [f"{c} {device.get(c)!s}, not {v!s}" for c, v in wanted.items() if c in device and device[c] != v]
    if other:
        raise RegistryError(
            f"It is registered already, as {holder} with {'; '.join(other)}. "
            "To change it use `usp devices import`, `move` or `replace`."
        )


def _name(standing: Standing, found: Candidate, wanted: str | None) -> str:
    """A name that no device has."""
    address = found.sender.address
    if not found.sender.network and IDENTIFIER.fullmatch(address):
        if wanted not in {None, address}:
            raise RegistryError(f"{address} speaks under its own name; leave the name out.")
        return address
    if wanted is not None:
        if not IDENTIFIER.fullmatch(wanted):
            raise RegistryError(" ".join(mistake.text for mistake in device_mistakes({"name": wanted})))
        if wanted in standing.devices:
            given = f"`usp devices replace {wanted} --address {address_text(found.sender)}` gives it this address"
            raise RegistryError(f"{wanted} is another device; {given}.")
        return wanted
    name = slug(found.label.name) or slug(address)
    if name in standing.devices:
        name = f"{name[:58]}-{slug(address)[-4:]}"
    if not name or name in standing.devices:
        raise RegistryError(f"No name can be made for {address}; give one.")
    return name


def slug(text: str) -> str:
    """The text as an identifier; empty where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = _NO_NAME.sub("-", plain)[:63].strip("-")
    return name if IDENTIFIER.fullmatch(name) else ""
