"""Brings devices into the database with their history kept: what they are, where they stand, who speaks for them."""

from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from usp.db import Connection
from usp.ingest.bridges.bridge import Sender
from usp.ingest.registry import CHANNEL
from usp.models.device import (
    KINDS,
    Device,
    a_kind,
    default_visibility,
    device_mistakes,
    native_profile,
)
from usp.registry.addresses import address_text, parse_address
from usp.registry.basics import write_basics
from usp.registry.outcome import Change, Label, Outcome, Record, Report, outcomes_of
from usp.registry.places import Moves, place_wanted
from usp.registry.standing import BASICS, Standing, read_standing
from usp.registry.tenures import AddressTaken
from usp.registry.writing import registry_transaction

if TYPE_CHECKING:
    from datetime import datetime


def record_of(device: Device) -> Record:
    """A device as a row that says everything; a place or an address it does not have is left as it is."""
    values = {f.name: getattr(device, f.name) for f in fields(Device)}
    if device.site is None and device.lon is None:
        for name in ("site", "lon", "lat", "approximate"):
            del values[name]
    for name in ("address", "since", "retired_at"):
        if values[name] is None:
            del values[name]
    return Record("", values)


async def bring_in_device_records(
    connection: Connection, records: Sequence[Record], *, dry_run: bool = False, correct: bool = False
) -> Report:
    """Add the devices, or change those that are there; all, or none where one is wrong or with `dry_run`.

    A device elsewhere than before has moved, and with another address its hardware was swapped: since `since`, or
    now. With `correct`, it has always stood where the row says since it came to the place that was written before.
    """
    report = Report(outcomes_of(records))
    async with registry_transaction(connection) as transaction:
        plan = _Plan(await read_standing(connection), records, report.outcomes, correct=correct)
        plan.make()
        if any(o.labels for o in report.outcomes) and not report.refused:
            await plan.write(connection)
            await connection.execute(f"NOTIFY {CHANNEL}")
        for outcome in report.outcomes:
            outcome.settle()
        if report.refused or dry_run:
            transaction.undo()
    return report


class _Plan:
    """What a list of devices would do to the registry, and what is wrong in it."""

    def __init__(
        self, standing: Standing, records: Sequence[Record], outcomes: Sequence[Outcome], *, correct: bool
    ) -> None:
        self._standing = standing
        for record, outcome in zip(records, outcomes, strict=True):
            if not any(m.column == "name" for m in outcome.mistakes):
                outcome.mistakes += device_mistakes({"name": record.name})
        # A row without a right name is nobody's; of all others every mistake is looked for.
        self._rows = [
            (record, outcome)
            for record, outcome in zip(records, outcomes, strict=True)
            if not any(m.column == "name" for m in outcome.mistakes)
        ]
        self._after = {name: dict(device) for name, device in standing.devices.items()}
        self._touched: dict[str, bool] = {}
        self._moves = Moves(standing, correct=correct)

    def make(self) -> None:
        """Go through all rows."""
        names = {record.name for record, _ in self._rows} | set(self._standing.devices)
        for record, outcome in self._rows:
            self._merge(record, outcome, names)
        for record, outcome in self._rows:
            self._check_parents(record, outcome)
            wanted = place_wanted(record, self._standing.places.get(record.name))
            if wanted is not None:
                self._moves.add(record, outcome, wanted)
        self._addresses()

    async def write(self, connection: Connection) -> None:
        """Write it."""
        added = [self._after[name] for name, is_new in self._touched.items() if is_new]
        changed = [self._after[name] for name, is_new in self._touched.items() if not is_new]
        await write_basics(connection, added, changed)
        await self._moves.write(connection)
        await self._standing.tenures.write(connection)

    def _merge(self, record: Record, outcome: Outcome, names: set[str]) -> None:
        """The device as it will be."""
        given = {name: value for name, value in record.values.items() if name in BASICS}
        standing = self._standing.devices.get(record.name)
        if standing is None:
            values = self._of_a_new_one(given, outcome)
            outcome.add(Label.ADDED)
        else:
            values = dict(standing) | given
            if values["kind"] != standing["kind"]:
                old, new = a_kind(standing["kind"]), a_kind(values["kind"])
                outcome.refuse("kind", f"it is {old} and cannot become {new}; give it another name.")
                values["kind"] = standing["kind"]
            changes = [Change(n, standing[n], values[n]) for n in BASICS if standing[n] != values[n]]
            if changes:
                outcome.change(Label.CHANGED, changes)
        self._check(values, outcome, names)
        site = record.values.get("site")
        if site is not None and site not in self._standing.sites:
            near = _nearest(site, self._standing.sites)
            outcome.refuse("site", f"there is no site {site!r}{near}; bring in its sites first.")
        position = {name: record.values[name] for name in ("lon", "lat") if name in record.values}
        outcome.mistakes += [m for m in device_mistakes(values | position) if m not in outcome.mistakes]
        self._after[record.name] = values
        if outcome.labels:
            self._touched[record.name] = standing is None

    def _of_a_new_one(self, given: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        values = dict.fromkeys(BASICS) | {"title": ""} | given
        # Of a profile that there is not, or of a wrong kind, its own mistake is told and no other.
        if values["kind"] is None and not any(m.column in {"kind", "profile"} for m in outcome.mistakes):
            values["kind"] = self._standing.profiles.get(values["profile"] or "")
            if values["kind"] is None and not values["profile"]:
                outcome.refuse("kind", "kind is missing; it may be left out where a profile is given.")
        if values["kind"] in KINDS:
            values["profile"] = values["profile"] or native_profile(values["kind"])
            if values["visibility"] is None:
                values["visibility"] = default_visibility(values["kind"], values["category"])
        return values

    def _check(self, values: dict[str, Any], outcome: Outcome, names: set[str]) -> None:
        profile, kind, parent = values["profile"], values["kind"], values["parent"]
        if profile and profile not in self._standing.profiles:
            near = _nearest(profile, self._standing.profiles)
            outcome.refuse("profile", f"there is no profile {profile!r}{near}; `usp profiles` lists them.")
        elif kind in KINDS and profile and self._standing.profiles[profile] != kind:
            meant = a_kind(self._standing.profiles[profile])
            outcome.refuse("profile", f"{profile} is for {meant}, and this is {a_kind(kind)}.")
        if parent is not None and parent not in names:
            near = _nearest(parent, names)
            outcome.refuse("parent", f"there is no device {parent!r} to be its parent{near}; it may be in the list.")

    def _check_parents(self, record: Record, outcome: Outcome) -> None:
        seen = [record.name]
        while (parent := self._after.get(seen[-1], {}).get("parent")) is not None and parent != seen[-1]:
            if parent == record.name:
                outcome.refuse("parent", f"a device cannot be a part of itself: {' of '.join([*seen, parent])}.")
                return
            if parent in seen:
                return
            seen.append(parent)

    # Addresses: first all that end, then all that begin, so that two devices may change theirs with each other

    def _addresses(self) -> None:
        tenures = self._standing.tenures
        begin: list[tuple[Record, Outcome, Sender | None, datetime | None]] = []
        for record, outcome in self._rows:
            self._check_name(record, outcome)
            if "address" not in record.values:
                continue
            sender = self._sender(record, outcome)
            current = tenures.current(record.name)
            if any(t.sender == sender for t in current) or (sender is None and not current):
                continue
            since = record.values.get("since")
            if current:
                since = since or self._standing.now
                if any(t.since is not None and since <= t.since for t in current):
                    latest = max(t.since for t in current if t.since is not None)
                    text = f"it has another address since {latest.isoformat()}; `since` must be later."
                    outcome.refuse("since", text)
                    continue
            old = ", ".join(address_text(t.sender) for t in current) or None
            change = Change("address", old, sender and address_text(sender))
            outcome.change(Label.SWAPPED if current and sender else Label.CHANGED, [change])
            if current:
                tenures.end(record.name, since or self._standing.now)
            begin.append((record, outcome, sender, since))
        retired = {name: device["retired_at"] for name, device in self._after.items()}
        for record, outcome, sender, since in begin:
            if sender is not None:
                try:
                    tenures.begin(sender, record.name, since, retired)
                except AddressTaken as error:
                    outcome.refuse("address", str(error))

    def _sender(self, record: Record, outcome: Outcome) -> Sender | None:
        """The address that is wanted; None for one's own name, which needs no address."""
        text = record.values["address"]
        if text is None:
            return None
        try:
            sender = parse_address(text)
        except ValueError as error:
            outcome.refuse("address", str(error))
            return None
        if sender.network or sender.address == record.name:
            return sender if sender.network else None
        if sender.address in self._after:
            outcome.refuse("address", f"{sender.address} is the name of another device.")
        return sender

    def _check_name(self, record: Record, outcome: Outcome) -> None:
        if record.name not in self._standing.devices:
            holder = self._standing.tenures.holder(Sender("", record.name))
            if holder is not None and holder != record.name:
                outcome.refuse("name", f"{holder} publishes under the name {record.name!r}; take another name.")


def _nearest(text: str, known: Any) -> str:
    near = get_close_matches(text, known, n=1, cutoff=0.75)
    return f", did you mean {near[0]!r}?" if near else ""
