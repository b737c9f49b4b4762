"""Writes what devices are, a thousand in a few statements."""

from collections.abc import Mapping, Sequence
from typing import Any

from usp.db import Connection

_TYPES = "$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]"
_COLUMNS = ("name", "title", "kind", "category", "profile", "visibility", "retired_at", "parent")


async def write_basics(
    connection: Connection, added: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]
) -> None:
    """Write new and changed devices. Parents come last: they may be new themselves."""
    if added:
        await connection.execute(
            f"""
            INSERT INTO usp.device (name, title, kind, category, profile, visibility, retired_at)
            SELECT name, title, kind, category, profile, visibility, retired_at
            FROM unnest({_TYPES}) AS r ({", ".join(_COLUMNS)})
            """,
            *_arrays(added),
        )
    changed = [*changed, *(device for device in added if device["parent"] is not None)]
    if changed:
        await connection.execute(
            f"""
            UPDATE usp.device d SET title = r.title, category = r.category, profile = r.profile,
                visibility = r.visibility, retired_at = r.retired_at, parent = p.id
            FROM unnest({_TYPES}) AS r ({", ".join(_COLUMNS)})
            LEFT JOIN usp.device p ON p.name = r.parent
            WHERE d.name = r.name
            """,
            *_arrays(changed),
        )


def _arrays(devices: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    return [[device[name] for device in devices] for name in _COLUMNS]
