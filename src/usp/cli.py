"""The command `usp`: the only place that builds settings and wires objects together."""

import asyncio
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from usp.commands.console import DatabaseUrl, out, print_rows, print_table, with_connection
from usp.commands.devices import app as devices_app
from usp.commands.rejections import app as rejections_app
from usp.commands.retention import retention
from usp.commands.sites import app as sites_app
from usp.errors import UspError
from usp.settings import PREFIX, Settings, load_settings

app = typer.Typer(
    name="usp",
    help="Urban sharing platform: street hardware in, open data out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(devices_app, name="devices")
app.add_typer(sites_app, name="sites")
app.add_typer(rejections_app, name="rejections")
keys_app = typer.Typer(help="Tokens for what is not open.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
profiles_app = typer.Typer(help="Device profiles: what a device model's fields mean.", no_args_is_help=True)
app.add_typer(profiles_app, name="profiles")
codecs_app = typer.Typer(help="Payload codecs: scripts that turn a device's bytes into fields.", no_args_is_help=True)
app.add_typer(codecs_app, name="codecs")

BrokerUrl = Annotated[str | None, typer.Option(help="Over USP_BROKER_URL.", show_default=False)]


@app.command()
def demo(
    port: Annotated[int | None, typer.Option(help="Port of the API; without it the first free one from 8000.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", help="End after this many seconds.")] = None,
    simulators: Annotated[bool, typer.Option(help="Let devices send.")] = True,
) -> None:
    """Start the whole platform on this machine, with the Milan district in it."""
    from usp.demo import run

    raise typer.Exit(run(load_settings(api_port=port), seconds=seconds, simulators=simulators))


@app.command()
def migrate(database_url: DatabaseUrl = None) -> None:
    """Bring the database to this version's schema."""
    from usp.migrate import head_revision
    from usp.migrate import migrate as run

    run(load_settings(database_url=database_url).require_database())
    out.print(f"The database is at revision {head_revision()}.")


@app.command()
def ingest(database_url: DatabaseUrl = None, broker_url: BrokerUrl = None) -> None:
    """Take in what devices send, until SIGTERM or Ctrl-C."""
    import gc

    import uvloop

    from usp.ingest.worker import Worker
    from usp.log import configure_logging
    from usp.models.retention import parse_retention
    from usp.profiles import load_all

    settings = load_settings(database_url=database_url, broker_url=broker_url)
    configure_logging()
    teach = partial(load_all, settings.profiles_dir)
    profiles, codecs = teach()
    # A batch is many small objects that live until its commit, without cycles: by default they are searched in vain.
    gc.set_threshold(100_000, 50, 1_000)

    async def work() -> None:
        worker = Worker(
            settings.require_database(),
            settings.require_broker(),
            profiles,
            codecs,
            version=settings.broker_version,
            teach=teach,
            retention=parse_retention(settings.retention),
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        await worker.run()

    uvloop.run(work())


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Over USP_API_HOST.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Over USP_API_PORT.", show_default=False)] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the open data."""
    from usp.api.app import create_app
    from usp.api.server import serve
    from usp.commands.operations import Administration
    from usp.log import configure_logging

    settings = load_settings(api_host=host, api_port=port, database_url=database_url)
    configure_logging()
    serve(create_app(settings, operations=Administration(settings)), settings.api_host, settings.api_port)


@app.command()
def simulate(  # noqa: PLR0913, PLR0917 - each is an option of the command
    backfill: Annotated[
        str | None,
        typer.Option(help="Begin in the past: 1d, 36h, 90m, yesterday, or an RFC 3339 time.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Begin where the last run ended, at most yesterday.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another town.")] = 1,
    speed: Annotated[
        float | None, typer.Option(help="Catch up at this multiple of real time, not as fast as possible.", min=1)
    ] = None,
    seconds: Annotated[float | None, typer.Option("--for", help="End after this many seconds.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Append what ought to be stored to this file.")] = None,
    devices: Annotated[
        str | None, typer.Option(help="Only so many devices, or those named, by comma.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Send each device's last message and end.")] = False,
    faults: Annotated[
        str | None,
        typer.Option(
            help="Let devices err: all, or by comma some of duplicate, late, reorder, corrupt, out_of_range, drift, "
            "silent, unmapped, each with a share if wanted: late=0.05,drift. With --network: lost, recovered, "
            "duplicate, again, mac_only, encrypted, simulated, damaged, rejoin, reset, events.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Instead of the district, LoRaWAN sensors as this server publishes them: chirpstack or things_stack. "
            "--devices says how many.",
            show_default=False,
        ),
    ] = None,
    broker_url: BrokerUrl = None,
) -> None:
    """Let the devices of the Milan district send, in real time."""
    import threading
    from datetime import datetime

    from usp_simulators.faults import parse_faults
    from usp_simulators.fleet import make_fleet
    from usp_simulators.simulate import parse_backfill, yesterday
    from usp_simulators.simulate import simulate as run

    settings = load_settings(broker_url=broker_url)
    if resume and backfill:
        raise typer.BadParameter("give either --resume or --backfill")
    since = parse_backfill(backfill) if backfill else None
    ended = settings.data_dir / "simulated-until"
    if resume:
        since = yesterday()
        if ended.exists():
            since = max(since, datetime.fromisoformat(ended.read_text(encoding="ascii").strip()))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    chosen = None if devices is None else int(devices) if devices.isdecimal() else devices.split(",")
    fleet = None
    if network is not None:
        if once or isinstance(chosen, list):
            raise typer.BadParameter("--network goes with a number of --devices, and without --once")
        fleet = make_fleet(network, chosen, seed=seed, faults=faults)
    report = run(
        settings.require_broker(),
        seed=seed,
        speed=speed,
        since=since,
        duration=seconds,
        manifest=manifest,
        devices=chosen,
        once=once,
        faults=parse_faults(faults, seed) if faults is not None and fleet is None else None,
        fleet=fleet,
        stop=stop,
    )
    if resume:
        ended.write_text(report.until.isoformat() + "\n", encoding="ascii")
    out.print(
        f"{report.acknowledged} of {report.sent} messages acknowledged; measured until {report.until.isoformat()}."
    )


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scopes: Annotated[list[str], typer.Option("--scope", help="read:restricted, ops, or ingest:<device>; repeatable.")],
    expires: Annotated[
        str | None, typer.Option(help="90d, 12h, 30m, 2w, or an RFC 3339 time.", show_default=False)
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    from datetime import UTC, datetime

    from usp.keys import create, parse_expiry
    from usp.models.token import check_scopes

    checked = check_scopes(scopes)
    until = None if expires is None else parse_expiry(expires, datetime.now(UTC))

    async def run(connection: Any) -> None:
        out.print(await create(connection, name, checked, until), markup=False)

    with_connection(load_settings(database_url=database_url), run)


@keys_app.command("list")
def keys_list(database_url: DatabaseUrl = None) -> None:
    """Print the tokens' names, scopes and times."""
    from usp.keys import LIST

    print_table(load_settings(database_url=database_url), LIST)


@keys_app.command("revoke")
def keys_revoke(
    name: Annotated[str, typer.Argument(help="As `usp keys list` shows it.")], database_url: DatabaseUrl = None
) -> None:
    """Let a token be valid no longer; it stops working within seconds."""
    from usp.keys import revoke

    async def run(connection: Any) -> None:
        out.print("Revoked." if await revoke(connection, name) else "It was revoked before.")

    with_connection(load_settings(database_url=database_url), run)


@profiles_app.command("list")
def profiles_list() -> None:
    """Print the device profiles that are shipped or lie in USP_PROFILES_DIR."""
    from usp.profiles import load_profiles

    found = load_profiles(load_settings().profiles_dir).values()
    print_rows(
        ["name", "kind", "interval_s", "codec", "title"],
        [[p.name, p.kind, p.interval, p.codec, p.title] for p in found],
    )


@profiles_app.command("check")
def profiles_check(
    file: Annotated[Path, typer.Argument(help="The profile, or the name of one that is there.", show_default=False)],
    payload: Annotated[str | None, typer.Option(help="Bytes of an uplink, in hex.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(help="The uplink's port (fPort); without it 1.", min=1, max=255, show_default=False)
    ] = None,
    message: Annotated[
        Path | None,
        typer.Option(
            help="A message as JSON: of ChirpStack, of The Things Stack, a native one, or decoded fields.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tell every mistake in a profile by line and column, and what would be stored of a payload or message."""
    from usp.profile_check import check

    if payload is not None and message is not None:
        raise typer.BadParameter("give either --payload or --message")
    if port is not None and payload is None:
        raise typer.BadParameter("--port goes with --payload")
    told = check(file, load_settings().profiles_dir, payload=payload, port=port, message=message)
    for line in told.lines:
        out.print(line, markup=False)
    raise typer.Exit(0 if told.fine else 1)


@profiles_app.command("schema")
def profiles_schema() -> None:
    """Print the JSON Schema of profiles, for editors."""
    from usp.models.profile_schema import schema_text

    print(schema_text(), end="")  # noqa: T201 - Rich would wrap it


@codecs_app.command("test")
def codecs_test(
    codec: Annotated[str, typer.Argument(help="The script as its vendor published it, or cayenne_lpp.")],
    examples: Annotated[
        Path,
        typer.Option(
            help="JSON lines of fPort, hex and expect; a *-codec.yaml of The Things Network; a test_decode_*.json of "
            "ChirpStack."
        ),
    ],
) -> None:
    """Run a codec on published examples, and say how many agree and where the others differ. Exit status 1: some do."""
    from usp.ingest.codecs import BUILT_IN, read_codec
    from usp.ingest.codecs.compare import report
    from usp.ingest.codecs.examples import read_examples

    known = BUILT_IN.get(codec) or read_codec(Path(codec))
    lines, agree = asyncio.run(report(known, read_examples(examples, Path(codec).name)))
    for line in lines:
        out.print(line, markup=False)
    raise typer.Exit(0 if agree else 1)


app.command()(retention)


@app.command()
def config() -> None:
    """Print every setting with its value and meaning, in the form of a .env file."""
    settings = load_settings()
    for name, info in Settings.model_fields.items():
        value = _without_password(getattr(settings, name))
        source = "" if name in settings.model_fields_set else "# "
        out.print(f"# {info.description}", style="dim")
        out.print(f"{source}{PREFIX}{name.upper()}={'' if value is None else value}\n")


@app.command()
def doctor(
    database_url: DatabaseUrl = None,
    broker_url: BrokerUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document for programs.")] = False,
) -> None:
    """Check database, broker and this machine, and say what to do; nothing is changed. Exit status 1: something fails.

    Without addresses it looks at the `usp demo` that runs in USP_DATA_DIR.
    """
    import json

    from usp import doctor

    checks = asyncio.run(doctor.examine(load_settings(database_url=database_url, broker_url=broker_url)))
    if as_json:
        print(json.dumps(doctor.document(checks), indent=2, ensure_ascii=False))  # noqa: T201 - no wrapping, no colours
    elif out.is_terminal:
        out.print(doctor.table(checks))
    else:
        print_rows([*doctor.HEADER], [check.row() for check in checks])
    raise typer.Exit(int(doctor.worst(checks) is doctor.Status.FAIL))


def _without_password(value: object) -> object:
    """A URL or a token as it may be shown to whoever looks over one's shoulder."""
    if not isinstance(value, str):
        return value
    return re.sub(r"^usp_.*", "usp_***", re.sub(r"(?<=://)([^:@/]*):.*(?=@)", r"\1:***", value))


def main() -> None:
    """Run the command; whatever is wrong comes as one line, with exit status 1, or 2 for wrong usage."""
    import asyncpg

    try:
        app()
    except UspError as error:
        _fail(str(error))
    except ConnectionRefusedError as error:
        _fail(
            f"{error.strerror or error}: is USP_DATABASE_URL right, and does its server run? `usp doctor` tells more."
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _fail(f"{type(error).__name__}: {error}")


def _fail(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"usp: {text}", style="red", markup=False)
    sys.exit(1)
