"""`usp devices`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usp.commands.console import DatabaseUrl, plain, print_rows, print_table, say, with_connection
from usp.commands.files import DryRun, FormatOption, Target, export_file, import_file, summary
from usp.models.dataset import Visibility
from usp.settings import Settings, load_settings

if TYPE_CHECKING:
    from datetime import datetime

    from usp.approval import Taken
    from usp.ingest.replay import Replayer

app = typer.Typer(help="The registry of devices.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The device.")]
At = Annotated[str | None, typer.Option(help="Since when, RFC 3339 with an offset; now without.", show_default=False)]
SiteOption = Annotated[str | None, typer.Option(help="The site it stands at.", show_default=False)]
Lon = Annotated[float | None, typer.Option(help="Longitude of its own, WGS 84.", show_default=False)]
Lat = Annotated[float | None, typer.Option(help="Latitude of its own, WGS 84.", show_default=False)]
Approximate = Annotated[bool, typer.Option("--approximate", help="The position is not exact.")]


@app.command("import")
def import_(
    file: Annotated[
        Path | None, typer.Argument(help="CSV with a header, or GeoJSON with points.", show_default=False)
    ] = None,
    *,
    dry_run: DryRun = False,
    format_: FormatOption = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="Other places are corrections: the devices have not moved.")
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="The Milan demonstration district.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Add devices, or change those that are there; all rows or none. A device that stands elsewhere has moved."""
    from usp.registry.columns import DEVICES
    from usp.registry.devices import bring_in_device_records

    if demo == (file is not None):
        raise typer.BadParameter("give either a FILE or --demo")
    settings = load_settings(database_url=database_url)
    if file is None:
        _import_demo(settings)
        return
    bring_in = partial(bring_in_device_records, dry_run=dry_run, correct=correct)
    import_file(settings, file, format_, DEVICES, bring_in, dry_run=dry_run)


def _import_demo(settings: Settings) -> None:
    from usp.registry import MILAN, bring_in_devices, bring_in_sites, read_devices, read_sites

    async def run(connection: Any) -> None:
        await _publish(settings, connection)
        say(summary("sites", await bring_in_sites(connection, read_sites(MILAN / "sites.csv"))))
        say(summary("devices", await bring_in_devices(connection, read_devices(MILAN / "devices.csv"))))

    with_connection(settings, run)


@app.command("export")
def export(file: Target = None, format_: FormatOption = None, database_url: DatabaseUrl = None) -> None:
    """Write all devices, retired ones too, as a file that can be imported again. History is not in it."""
    from usp.registry.columns import DEVICES
    from usp.registry.standing import export_devices

    export_file(load_settings(database_url=database_url), file, format_, DEVICES, export_devices)


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Only this kind.", show_default=False)] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print the devices."""
    print_table(
        load_settings(database_url=database_url),
        "SELECT d.name, d.kind, d.category, d.profile, d.visibility, s.name AS site, a.addresses AS address, "
        "d.retired_at FROM usp.device d "
        "LEFT JOIN usp.placement p ON p.device = d.id AND p.valid @> now() LEFT JOIN usp.site s ON s.id = p.site "
        "LEFT JOIN LATERAL (SELECT string_agg(address, ' ') AS addresses FROM usp.device_address "
        "WHERE device = d.id AND valid @> now()) a ON true "
        "WHERE $1::text IS NULL OR d.kind = $1 ORDER BY d.name",
        kind,
    )


@app.command("candidates")
def candidates_(
    *,
    json: Annotated[bool, typer.Option("--json", help="All that is known of them, as a JSON array.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 100,
    database_url: DatabaseUrl = None,
) -> None:
    """Print who sends without being registered: what they sent, and which profiles would understand it."""
    from usp.candidates import candidates
    from usp.commands.candidates import HEADER, as_json, as_row
    from usp.profiles import load_all

    settings = load_settings(database_url=database_url)
    profiles, codecs = load_all(settings.profiles_dir)

    async def run(connection: Any) -> None:
        found = await candidates(connection, profiles, codecs, limit=limit)
        if json:
            say(as_json(found))
        elif found:
            print_rows(HEADER, map(as_row, found))
        else:
            say("Nobody waits to be registered.")

    with_connection(settings, run)


@app.command("approve")
def approve_(  # noqa: PLR0913 - each is an option of the command
    address: Annotated[str, typer.Argument(help="As `usp devices candidates` shows it.")],
    *,
    profile: Annotated[str, typer.Option(help="The profile of its model; `usp profiles list` shows them.")],
    name: Annotated[
        str | None, typer.Option(help="What it is called here; as in its network without.", show_default=False)
    ] = None,
    kind: Annotated[str | None, typer.Option(help="If not the profile's.", show_default=False)] = None,
    category: Annotated[str | None, typer.Option(help="Its category.", show_default=False)] = None,
    site: SiteOption = None,
    lon: Lon = None,
    lat: Lat = None,
    approximate: Approximate = False,
    title: Annotated[
        str | None, typer.Option(help="What people call it; as its network does without.", show_default=False)
    ] = None,
    visibility: Annotated[Visibility | None, typer.Option(help="Who may see it.", show_default=False)] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Register who sends from an address, and take up all that it has sent. Doing it again does no harm."""
    from usp.approval import approve
    from usp.models.device import a_kind

    settings = load_settings(database_url=database_url)
    wish = {
        "profile": profile, "kind": kind, "category": category, "site": site, "lon": lon, "lat": lat, "title": title,
        "visibility": visibility, "approximate": approximate or None,
    }  # fmt: skip

    async def run(connection: Any) -> None:
        await _publish(settings, connection)
        done = await approve(connection, _replayer(settings), address, wish, name=name)
        device = done.device
        what = f"{a_kind(device['kind'])} with profile {device['profile']}, {device['visibility']}"
        already = "already " if done.was_there else ""
        say(f"{done.name} is {already}registered: {what}; it speaks as {plain(done.address)}.")
        _tell_taken(done.taken, "nothing waited")

    with_connection(settings, run)


@app.command("replace")
def replace_(
    name: Name,
    address: Annotated[
        str, typer.Option(help="The new hardware's: a devEUI, or as `usp devices candidates` shows it.")
    ],
    at: At = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Let other hardware speak for a device. Frames of both stay whose they were."""
    from usp.approval import Waiting, take_up
    from usp.registry.addresses import parse_address
    from usp.registry.lifecycle import replace

    settings = load_settings(database_url=database_url)
    since = _time(at)
    sender = _parsed(parse_address, address)

    async def run(connection: Any) -> None:
        outcome = await replace(connection, name, address, since)
        if not outcome.changes:
            say(f"{name} has this address already.")
        for change in outcome.changes:
            say(f"{name}: {change}, since {at or 'now'}.")
        _tell_taken(await take_up(connection, _replayer(settings), Waiting(sender.address)), "nothing waited")

    with_connection(settings, run)


@app.command("move")
def move_(  # noqa: PLR0913 - each is an option of the command
    name: Name,
    *,
    site: SiteOption = None,
    lon: Lon = None,
    lat: Lat = None,
    approximate: Approximate = False,
    at: At = None,
    correct: Annotated[bool, typer.Option("--correct", help="It has not moved: the old place was a mistake.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Let a device stand elsewhere. What it measured before keeps its place."""
    from usp.registry.lifecycle import move

    if site is None and lon is None and lat is None:
        raise typer.BadParameter("give --site, or --lon and --lat, or all three")
    if correct and at is not None:
        raise typer.BadParameter("a correction holds since the device stands where it is; leave --at out")
    place = {"site": site, "lon": lon, "lat": lat, "approximate": approximate}
    since = _time(at)

    async def run(connection: Any) -> None:
        outcome = await move(connection, name, place, since, correct=correct)
        when = "corrected" if correct else f"since {at or 'now'}"
        say(f"{name}: {outcome.detail}, {when}." if outcome.changes else f"{name} stands there already.")

    with_connection(load_settings(database_url=database_url), run)


@app.command("retire")
def retire_(
    name: Name,
    *,
    at: At = None,
    undo: Annotated[bool, typer.Option("--undo", help="It has not ended; what was refused since is taken up.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Let a device end: what it measures from then on is refused. Its readings stay."""
    from usp.approval import Waiting, take_up
    from usp.models.reasons import Reason
    from usp.registry.lifecycle import restore, retire

    if undo and at is not None:
        raise typer.BadParameter("give either --at or --undo")
    settings = load_settings(database_url=database_url)
    since = _time(at)

    async def run(connection: Any) -> None:
        if not undo:
            outcome = await retire(connection, name, since)
            say(f"{name}: {outcome.detail}." if outcome.changes else f"{name} was retired before.")
            return
        outcome = await restore(connection, name)
        say(f"{name}: {outcome.detail}." if outcome.changes else f"{name} is not retired.")
        waiting = Waiting(device=name, reasons=(Reason.RETIRED_DEVICE,))
        _tell_taken(await take_up(connection, _replayer(settings), waiting), "nothing was refused meanwhile")

    with_connection(settings, run)


async def _publish(settings: Settings, connection: Any) -> None:
    from usp.ingest.registry import publish_profiles
    from usp.profiles import load_profiles

    await publish_profiles(connection, load_profiles(settings.profiles_dir))


def _replayer(settings: Settings) -> "Replayer":
    from usp.commands.replays import make_replayer
    from usp.log import configure_logging

    configure_logging(30)  # warnings: everything else would stand between the lines
    return make_replayer(settings)


def _tell_taken(taken: "Taken", nothing: str) -> None:
    """Print what became of what waited."""
    refused = sum(taken.refused.values())
    if not taken.resolved and not refused:
        say(f"{nothing.capitalize()}.")
    else:
        why = ", ".join(f"{count} {reason}" for reason, count in taken.refused.most_common())
        stay = f"; {refused} stay refused: {why}" if refused else ""
        say(f"{taken.resolved + refused} items had waited: {taken.resolved} taken up{stay}.")
    if taken.not_kept:
        say(f"{taken.not_kept} came that were too many or too large to be kept, and are lost.")
    if taken.left:
        say(f"{taken.left} still wait, as unknown; is every ingest process running? Then give the command again.")


def _time(text: str | None) -> "datetime | None":
    from usp.registry.columns import parse_time

    return None if text is None else _parsed(parse_time, text)


def _parsed(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
