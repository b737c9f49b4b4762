"""`usp retention`: which raw readings are old enough to go."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usp.commands.console import DatabaseUrl, print_rows, say, with_connection
from usp.settings import load_settings

if TYPE_CHECKING:
    from usp.ingest.retention import Standing

_HEADER = ["dataset", "kept", "raw_from", "until", "chunks", "rows", "size", "waits"]


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Do it now; ingest does it by itself every hour.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Print which raw readings would go by USP_RETENTION, and why others cannot yet; drops nothing unless told to.

    Hourly partials and newest values always stay.
    """
    from usp.ingest import retention as ingest
    from usp.models.retention import parse_retention

    settings = load_settings(database_url=database_url)
    kept = parse_retention(settings.retention)

    async def run(connection: Any) -> None:
        found = await ingest.examine(connection, kept, datetime.now(UTC))
        rows = [_row(standing, await ingest.rows_of(connection, standing)) for standing in found]
        print_rows(_HEADER, rows)
        if not apply:
            return
        await ingest.move_horizons(connection, found)
        if any(standing.going for standing in found):
            await asyncio.sleep(ingest.PAUSE_S)
        dropped = await ingest.drop(settings.require_database(), found)
        size = sum(chunk.bytes for _, chunk in dropped)
        say(f"Chunks dropped: {len(dropped):,}, {_size(size)}." if dropped else "Nothing dropped.")

    with_connection(settings, run)


def _row(standing: "Standing", rows: int) -> list[object]:
    kept = "forever" if standing.keep is None else f"{standing.keep.days}d"
    told: list[object] = [standing.dataset, kept, _day(standing.raw_from)]
    if standing.going:
        size = sum(chunk.bytes for chunk in standing.going)
        told += [_day(standing.going[-1].end), len(standing.going), f"{rows:,}", _size(size)]
    else:
        told += [None, 0, 0, None]
    return [*told, standing.waits]


def _day(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%MZ}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
