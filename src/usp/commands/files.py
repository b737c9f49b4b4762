"""`import` and `export`, alike for devices and sites."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usp.commands.console import err, print_rows, say, with_connection
from usp.settings import Settings

if TYPE_CHECKING:
    from usp.registry.columns import Columns
    from usp.registry.outcome import Record, Report


class Format(StrEnum):
    """How a list is written."""

    CSV = "csv"
    GEOJSON = "geojson"


FormatOption = Annotated[
    Format | None, typer.Option("--format", help="csv or geojson, if not by the name of the file.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say row by row what would happen, and write nothing.")]
Target = Annotated[Path | None, typer.Argument(help="File to write; standard output without.", show_default=False)]

BringIn = Callable[[Any, "Sequence[Record]"], Awaitable["Report"]]
#: What is not exported: history. Only `usp.placement` and `usp.device_address` hold it.
_NO_COLUMN = ("since",)


def import_file(
    settings: Settings, file: Path, format_: Format | None, columns: "Columns", bring_in: BringIn, *, dry_run: bool
) -> None:
    """Bring in what stands in a file, and tell what happened; ends with status 1 where a row is wrong."""
    from usp.registry.files import read_records

    things = "devices" if "kind" in columns.names else "sites"
    records = read_records(file, columns, format_)

    async def run(connection: Any) -> None:
        from usp.ingest.registry import publish_profiles
        from usp.profiles import load_profiles
        from usp.registry.writing import registry_transaction

        profiles = load_profiles(settings.profiles_dir)
        async with registry_transaction(connection) as transaction:
            await publish_profiles(connection, profiles)
            report = await bring_in(connection, records)
            if dry_run or report.refused:
                transaction.undo()
        tell(file, things, report, dry_run=dry_run)
        if not dry_run and things == "devices":
            await _tell_waiting(connection, [outcome.name for outcome in report.outcomes])

    with_connection(settings, run)


def tell(file: Path, things: str, report: "Report", *, dry_run: bool) -> None:
    """Print what became of the rows of a file. Ends with status 1 where one is wrong."""
    if dry_run:
        print_rows(["where", "name", "what", "detail"], [(o.where, o.name, o.what, o.detail) for o in report.outcomes])
    else:
        for outcome in report.refused:
            for column, text in outcome.mistakes:
                what = " ".join(filter(None, (outcome.name, "" if column == "row" else column)))
                err.print(f"usp: {file}, {outcome.where}: {what}: {text}", style="red", markup=False)
    say(summary(things, report.changes, dry_run=dry_run or bool(report.refused)))
    if report.refused:
        say(f"{len(report.refused)} rows are refused; nothing {'would be' if dry_run else 'was'} written.")
        raise typer.Exit(1)
    if dry_run:
        say(f"Nothing was written. {things.capitalize()} that are not in the file stay as they are.")


def summary(things: str, changes: Any, *, dry_run: bool = False) -> str:
    """The totals of a list in one sentence."""
    names = ("added", "changed", "moved", "swapped", "refused")
    done = ", ".join(f"{count} {name}" for name in names if (count := getattr(changes, name)))
    will = "would be " if dry_run and done else ""
    return f"{things}: {will}{done or 'nothing to do'}; {changes.unchanged} unchanged."


async def _tell_waiting(connection: Any, names: list[str]) -> None:
    """Point to what the devices sent before they were registered."""
    waiting = await connection.fetchval(
        """
        SELECT count(*) FROM usp.rejection WHERE reason = 'unknown_device' AND resolved_at IS NULL
            AND device IS NULL AND payload IS NOT NULL AND address IN (
                SELECT name FROM usp.device WHERE name = ANY($1)
                UNION SELECT a.address FROM usp.device_address a JOIN usp.device d ON d.id = a.device
                WHERE d.name = ANY($1)
            )
        """,
        names,
    )
    if waiting:
        say(f"{waiting} items of these devices wait; `usp rejections replay --reason unknown_device` takes them up.")


def export_file(
    settings: Settings,
    file: Path | None,
    format_: Format | None,
    columns: "Columns",
    read: Callable[[Any], Awaitable[list[dict[str, Any]]]],
) -> None:
    """Write all that is registered to a file or to standard output."""
    from usp.registry.files import CSV, format_of, write_csv, write_geojson

    chosen = CSV if file is None and format_ is None else format_of(file or Path(), format_)
    rows: list[dict[str, Any]] = []

    async def run(connection: Any) -> None:
        rows.extend(await read(connection))

    with_connection(settings, run)
    names = [name for name in columns.names if name not in _NO_COLUMN]
    # Bytes: lines of CSV end in CR LF on every system (RFC 4180).
    content = (write_csv if chosen == CSV else write_geojson)(rows, names).encode()
    if file is None:
        typer.get_binary_stream("stdout").write(content)
    else:
        file.write_bytes(content)
        say(f"{len(rows)} written to {file}.")
