"""`usp rejections`: what was refused, why, and how to take it up again."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usp.commands.console import DatabaseUrl, out, plain, print_rows
from usp.settings import Settings, load_settings

if TYPE_CHECKING:
    from usp.commands.progress import ReplayTold
    from usp.models.rejection import RejectionFilter

app = typer.Typer(help="What was refused, why, and how to take it up again.", no_args_is_help=True)

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_SHORT = 80
#: Bytes of items held at a time while listing.
_PAGE, _PAGE_BYTES = 200, 16_000_000
#: As a shell tells of a program that was interrupted.
_INTERRUPTED = 130

Reason_ = Annotated[str | None, typer.Option(help="Only this reason, as today's.", show_default=False)]
Address = Annotated[str | None, typer.Option(help="Only from this sender, as `list` shows it.", show_default=False)]
Device = Annotated[str | None, typer.Option(help="Only of this registered device.", show_default=False)]
Door = Annotated[str | None, typer.Option(help="Only by this door: mqtt, chirpstack, …", show_default=False)]
Field = Annotated[str | None, typer.Option(help="Only this refused field.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", "--from", help="Came since: 2h, 1d, or an RFC 3339 time (a date in UTC).", show_default=False
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", "--to", help="Came before; written as --since is.", show_default=False)
]


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - each is an option of the command
    reason: Reason_ = None,
    address: Address = None,
    device: Device = None,
    door: Door = None,
    field: Field = None,
    since: Since = None,
    until: Until = None,
    resolved: Annotated[bool, typer.Option("--resolved/--open", help="What is resolved, or what waits.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Both.")] = False,
    limit: Annotated[int, typer.Option(help="So many at most.", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the item itself.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Print what was refused, newest first: what waits still, unless told otherwise."""
    from usp.models.rejection import RejectionFilter, State

    state = State.ALL if everything else State.RESOLVED if resolved else State.OPEN
    chosen = RejectionFilter(
        reason=_reason(reason),
        address=address,
        device=device,
        door=door,
        field=field,
        since=moment("--since", since),
        until=moment("--until", until),
        state=state,
    )

    async def run(connection: Any) -> None:
        await _list(connection, chosen, limit, as_json=as_json)

    _look(load_settings(database_url=database_url), run)


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="The number that `list` shows.", min=1, metavar="ID")],
    database_url: DatabaseUrl = None,
) -> None:
    """Print everything about one of them, the item included."""
    from usp.commands.rejected import told

    async def run(connection: Any) -> None:
        for line in await told(connection, number):
            out.print(line, markup=False, highlight=False)

    _look(load_settings(database_url=database_url), run)


@app.command()
def stats(
    by: Annotated[str, typer.Option(help="reason, address or day.")] = "reason",
    limit: Annotated[int, typer.Option(help="So many rows at most.", min=1)] = 1_000,
    database_url: DatabaseUrl = None,
) -> None:
    """Print how many wait and how many are resolved, were kept, and were only counted."""
    from usp.api import rejections

    _known("--by", by, rejections.BY)

    async def run(connection: Any) -> None:
        found = await rejections.stats(connection, by, limit)
        if by == "day":
            print_rows([by, "open", "resolved"], [(row[by], row["open"], row["resolved"]) for row in found])
            return
        header = [by, "open", "resolved", "kept", "only_counted", "total", "last"]
        rows = [row | {"only_counted": row["total"] - row["kept"], "last": _seconds(row["last"])} for row in found]
        print_rows(header, [[plain(str(row.get(name, ""))) for name in header] for row in rows])

    _look(load_settings(database_url=database_url), run)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - each is an option of the command
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Only those of these numbers.", metavar="[ID]...", show_default=False)
    ] = None,
    reason: Reason_ = None,
    address: Address = None,
    device: Device = None,
    door: Door = None,
    field: Field = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would become of them.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Take up what waits, with today's profiles and registry; what is refused again stays. Safe to repeat and to stop.

    Exit status 0 also where some are still refused; 130 where it was interrupted.
    """
    from usp.commands.progress import ReplayTold
    from usp.log import configure_logging
    from usp.models.rejection import RejectionFilter, State

    chosen = RejectionFilter(
        ids=tuple(dict.fromkeys(numbers)) if numbers else None,
        reason=_reason(reason),
        address=address,
        device=device,
        door=door,
        field=field,
        since=moment("--since", since),
        until=moment("--until", until),
        state=State.OPEN,
    )
    settings = load_settings(database_url=database_url)
    configure_logging(30)  # warnings: everything else would stand between the lines of the progress
    told = ReplayTold(dry_run=dry_run)
    try:
        asyncio.run(_replay(settings, chosen, told))
    except KeyboardInterrupt:
        told.interrupted()
        raise typer.Exit(_INTERRUPTED) from None
    told.end()


async def _replay(settings: Settings, chosen: "RejectionFilter", told: "ReplayTold") -> None:
    from contextlib import aclosing

    from usp.commands.replays import Replays

    await _with_operator(settings, lambda connection: _check(connection, chosen, told))
    with told:
        async with aclosing(Replays(settings).replay(chosen, dry_run=told.dry_run)) as steps:
            async for progress in steps:
                told.step(progress)


async def _check(connection: Any, chosen: "RejectionFilter", told: "ReplayTold") -> None:
    """Refuse a device and numbers that there are not, and take note of those that wait no longer."""
    from usp.api import rejections
    from usp.errors import NotFound

    await rejections.check_device(connection, chosen)
    if chosen.ids is None:
        return
    query = "SELECT id, resolved_at IS NOT NULL FROM ops.rejection WHERE id = ANY($1)"
    known = dict(await connection.fetch(query, [n for n in chosen.ids if 0 < n <= rejections.HIGHEST_ID]))
    if missing := [str(number) for number in chosen.ids if number not in known]:
        raise NotFound(f"No rejection has the number {', '.join(missing)}.")
    told.resolved_before = sum(known.values())


async def _list(connection: Any, chosen: "RejectionFilter", limit: int, *, as_json: bool) -> None:
    from usp.api import rejections
    from usp.api.representations.json import document

    header = ["id", "received_at", "door", "address", "device", "field", "reason", "detail", "resolved_at"]
    rows: list[list[str]] = []
    mark = None
    more = True
    while more and len(rows) < limit:
        rows_at_once = min(_PAGE, limit - len(rows))
        page, more = await rejections.listed(connection, chosen, rows_at_once, mark, most_bytes=_PAGE_BYTES)
        for record in page:
            mark = (record["received_at"], record["id"])
            if as_json:
                print(document(rejections.document(record)).decode())  # noqa: T201 - no wrapping, no colours
            rows.append([] if as_json else [_shown(record[name]) for name in header])
    if not as_json:
        print_rows(header, rows)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return _seconds(value)
    text = "" if value is None else plain(str(value))
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _reason(reason: str | None) -> str | None:
    from usp.models.reasons import Reason

    if reason is not None:
        _known("--reason", reason, list(Reason))
    return reason


def _known(option: str, word: str, known: "list[Any] | tuple[str, ...]") -> None:
    """Refuse a word that is none of the known ones, and name the nearest."""
    import difflib

    if word in known:
        return
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}."
    raise typer.BadParameter(f"{word!r}: {hint}", param_hint=option)


def moment(option: str, text: str | None) -> datetime | None:
    """2h or 1d ago, or an RFC 3339 time; a date alone is its midnight in UTC, and so is a time without offset."""
    if text is None:
        return None
    try:
        if found := _DURATION.fullmatch(text):
            return datetime.now(UTC) - int(found[1]) * _UNITS[found[2]]
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        hint = f"{text!r} is neither 30m, 2h, 1d, 2w nor a time as 2026-11-20T09:00:00Z."
        raise typer.BadParameter(hint, param_hint=option) from None


def _look(settings: Settings, run: Callable[[Any], Awaitable[None]]) -> None:
    asyncio.run(_with_operator(settings, run))


async def _with_operator(settings: Settings, run: Callable[[Any], Awaitable[None]]) -> None:
    """Do something over a connection that sees what operators see, and changes nothing."""
    from usp.db import OPS_ROLE, connect

    connection = await connect(settings.require_database(), role=OPS_ROLE, application="usp-cli")
    try:
        await run(connection)
    finally:
        await connection.close()
