"""Brings sites into the database, and out of it again."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from usp.db import Connection
from usp.ingest.registry import CHANNEL
from usp.models.device import Site, site_mistakes
from usp.registry.outcome import Change, Label, Outcome, Record, Report, outcomes_of, right_ones
from usp.registry.writing import registry_transaction

_NAMES = [f.name for f in fields(Site)]
_REQUIRED = ("title", "lon", "lat")


async def bring_in_site_records(connection: Connection, records: Sequence[Record], *, dry_run: bool = False) -> Report:
    """Add the sites, or change those that are there; all, or none where one is wrong or with `dry_run`."""
    report = Report(outcomes_of(records))
    async with registry_transaction(connection) as transaction:
        standing = {row["name"]: row for row in await export_sites(connection)}
        written = []
        for record, outcome in right_ones(records, report.outcomes):
            site = _merged(record, outcome, standing.get(record.name))
            if site is not None and outcome.labels:
                written.append(site)
        for outcome in report.outcomes:
            outcome.settle()
        if written and not report.refused:
            await _write(connection, written)
            await connection.execute(f"NOTIFY {CHANNEL}")
        if report.refused or dry_run:
            transaction.undo()
    return report


def _merged(record: Record, outcome: Outcome, standing: Mapping[str, Any] | None) -> Site | None:
    """The site as it will be, with what changes noted."""
    values: dict[str, Any] = {"address": "", "approximate": False} | dict(standing or {}) | record.values
    for name in _REQUIRED:
        if values.get(name) is None:
            outcome.refuse(name, f"{name} is missing.")
    outcome.mistakes += [m for m in site_mistakes(values) if m not in record.mistakes]
    if outcome.mistakes:
        return None
    if standing is None:
        outcome.add(Label.ADDED)
    else:
        outcome.changes += [Change(n, standing[n], values[n]) for n in _NAMES if standing[n] != values[n]]
        if outcome.changes:
            outcome.add(Label.CHANGED)
    return Site(**values)


async def _write(connection: Connection, sites: Sequence[Site]) -> None:
    await connection.executemany(
        """
        INSERT INTO usp.site AS s (name, title, address, lon, lat, approximate)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (name) DO UPDATE SET title = excluded.title, address = excluded.address,
            lon = excluded.lon, lat = excluded.lat, approximate = excluded.approximate
        """,
        [(s.name, s.title, s.address, s.lon, s.lat, s.approximate) for s in sites],
    )


async def export_sites(connection: Connection) -> list[dict[str, Any]]:
    """All sites, as their files have them."""
    records = await connection.fetch("SELECT name, title, address, lon, lat, approximate FROM usp.site ORDER BY name")
    return [{name: record[name] for name in _NAMES} for record in records]
