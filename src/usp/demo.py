"""`usp demo`: the whole platform on one machine, started in order, watched, and ended in order."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from usp.embedded import Mosquitto, Parts, Postgres, find_parts, get_parts
from usp.embedded.process import FolderLock, bindable, end, ending_with_us, open_log, tail, write_private
from usp.errors import SettingsError, UspError
from usp.models.broker import MqttVersion
from usp.models.token import PREFIX
from usp.settings import Settings

# The platform's own commands, as they would be typed after `usp`.
COMMANDS = {
    "migrate": ("migrate",),
    "registry": ("devices", "import", "--demo"),
    "ingest": ("ingest",),
    "api": ("api",),
    "simulators": ("simulate", "--resume"),
}

# In which order they are ended, and how long each may take: nothing new comes in, what has come in is stored.
ENDING = (("simulators", 1.5), ("ingest", 8.0), ("api", 1.5))

CLIENTS = ("mosquitto_pub", "mosquitto_sub", "psql", "pg_dump", "pg_restore")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_WITHIN = 60.0


class DemoFailed(UspError):
    """The platform cannot go on."""


class _Stopped(BaseException):
    """Somebody asked for the end."""


def run(settings: Settings, *, seconds: float | None = None, simulators: bool = True) -> int:
    """Run the platform until a signal comes or `seconds` have passed; return the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    demo = Demo(settings, console)
    try:
        _stop_on_signals()
        demo.start(simulators=simulators)
        demo.watch(seconds)
    except _Stopped:
        pass
    except UspError as error:
        demo.complain(str(error))
        return 1
    finally:
        _ignore_signals()
        demo.stop()
    return 0


class Demo:
    """What has been started, and the console that hears of it."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._data_dir = settings.data_dir.absolute()
        self._stack = ExitStack()
        self._servers: dict[str, Postgres | Mosquitto] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = dict(os.environ)
        self._api = ""

    def say(self, what: str, text: str, style: str = "bold") -> None:
        """Print one line of progress. A terminal that is gone must not keep anything from being ended."""
        with suppress(OSError):
            self._console.print(Text.assemble((f"{what:<11}", style), text))

    def complain(self, text: str) -> None:
        """Say on the error output why it ends."""
        with suppress(OSError):
            errors = Console(stderr=True, highlight=False, soft_wrap=True)
            errors.print(Text.assemble(("failed     ", "bold red"), text))

    def start(self, *, simulators: bool) -> None:
        """Start everything, each part when what it needs is there."""
        self._occupy()
        port = api_port(self._settings)
        database, broker = self._start_servers()
        self._environment |= {
            "USP_DATABASE_URL": database,
            "USP_BROKER_URL": broker,
            "USP_API_HOST": self._settings.api_host,
            "USP_API_PORT": str(port),
            "USP_DATA_DIR": str(self._data_dir),
        }
        # Of this run alone: what it opens is shown in a browser on this machine and nowhere else.
        self._environment.setdefault("USP_OPS_TOKEN", PREFIX + secrets.token_urlsafe(32))
        if self._settings.profiles_dir:
            self._environment["USP_PROFILES_DIR"] = str(self._settings.profiles_dir.absolute())
        for name in ("migrate", "registry"):
            self._run(name)
        for name in ("ingest", "api"):
            self._spawn(name)
        self._api = f"http://{_reachable(self._settings.api_host)}:{port}"
        self._wait_until_ready()
        if simulators:
            self._spawn("simulators")
        facts = {"api": self._api, "broker": broker, "database": database, "pid": os.getpid()}
        write_private(self._data_dir / "run.json", json.dumps(facts) + "\n")
        self.say("operators", f"{self._api}/ops")
        self.say("ready", f"{self._api}  (Ctrl-C ends it; logs: {self._data_dir / 'logs'})", "bold green")

    def watch(self, seconds: float | None) -> None:
        """Show what flows, and look after what was started, until the time is over."""
        terminal = self._console.is_terminal
        deadline = None if seconds is None else time.monotonic() + seconds
        shown_at = 0.0
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while deadline is None or time.monotonic() < deadline:
                self._check()
                if time.monotonic() - shown_at >= (2 if terminal else 10):
                    shown_at = time.monotonic()
                    line = flow(_get(f"{self._api}/health/ingest")[1])
                    if terminal:
                        live.update(Text(line), refresh=True)
                    else:
                        self.say("flow", line)
                time.sleep(0.25)

    def stop(self) -> None:
        """End everything: the sources first, the stores last."""
        ending = [name for name, _ in ENDING if name in self._children]
        if names := [*ending, *reversed(self._servers)]:
            self.say("stopping", ", ".join(names))
        for name, limit in ENDING:
            if child := self._children.pop(name, None):
                end(child, (signal.SIGTERM, limit))
        self._stack.close()

    def _occupy(self) -> None:
        """Make the data folder ours, and clear away what says that an earlier run goes on."""
        lock = FolderLock(self._data_dir)
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise SettingsError(f"USP_DATA_DIR: {error}.") from None
        self._stack.callback(lock.release)
        run_file = self._data_dir / "run.json"
        run_file.unlink(missing_ok=True)
        self._stack.callback(run_file.unlink, missing_ok=True)

    def _start_servers(self) -> tuple[str, str]:
        """Start a private database and broker where no other is given; return where they are."""
        database, broker = self._settings.database_url, self._settings.broker_url
        if database and broker:
            self._link(find_parts())
            return database, broker
        parts = get_parts(lambda text: self.say("parts", text))
        self._link(parts)
        if database is None:
            server = self._servers["database"] = Postgres(parts, self._data_dir / "postgres")
            self._stack.callback(server.stop)
            database = server.start().url
            self.say("database", f"TimescaleDB on port {server.port}")
        if broker is None:
            mosquitto = self._servers["broker"] = Mosquitto(parts, self._data_dir / "mosquitto")
            self._stack.callback(mosquitto.stop)
            broker = mosquitto.start().url
            # The cheaper protocol; the window of a broker of ours is wide open.
            self._environment.setdefault("USP_BROKER_VERSION", MqttVersion.V311)
            self.say("broker", f"Mosquitto on port {mosquitto.port}")
        return database, broker

    def _link(self, parts: Parts | None) -> None:
        """Offer the client programs in one place, so that the manual's lines work with nothing installed."""
        if parts is None:
            return
        folder = self._data_dir / "bin"
        folder.mkdir(exist_ok=True)
        for name in CLIENTS:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(getattr(parts, name))

    def _run(self, name: str) -> None:
        """Run a command to its end."""
        self.say(name, f"usp {' '.join(COMMANDS[name])}")
        child = self._popen(name)
        try:
            status = child.wait()
        except BaseException:
            end(child, (signal.SIGTERM, 2.0))
            raise
        if status != 0:
            raise self._failure(name, status)

    def _spawn(self, name: str) -> None:
        """Start a command that stays."""
        self._children[name] = self._popen(name)
        self.say(name, f"usp {' '.join(COMMANDS[name])}")

    def _popen(self, name: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "usp", *COMMANDS[name]]
        with open_log(self._log(name), keep=0) as log:
            return subprocess.Popen(  # noqa: S603
                ending_with_us(argv, signal.SIGTERM),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches a terminal's whole group; who ends when is decided here.
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        folder = self._data_dir / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.log"

    def _failure(self, name: str, status: int) -> DemoFailed:
        log = self._log(name) if name in COMMANDS else self._servers[name].log
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return DemoFailed(f"{name} {how}; the end of {log}:\n{tail(log)}")

    def _check(self) -> None:
        """Nothing that was started may have ended."""
        processes = {name: server.process for name, server in self._servers.items()} | self._children
        for name, process in processes.items():
            if process is not None and (status := process.poll()) is not None:
                raise self._failure(name, status)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            status, answer = _get(f"{self._api}/health/ready")
            if status == 200:
                return
            self._check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self._api}/health/ready says {status or 'nothing'}: {json.dumps(answer)}")
            time.sleep(0.1)


def api_port(settings: Settings) -> int:
    """Return the port to listen on: the one asked for, or the next free one if nobody asked."""
    host, asked = settings.api_host, settings.api_port
    explicit = "api_port" in settings.model_fields_set
    for candidate in range(asked, asked + (1 if explicit else 100)):
        if port := bindable(host, candidate):
            return port
    others = "" if explicit else ", and so are the 99 that follow"
    raise SettingsError(f"USP_API_PORT: port {asked} of {host} is taken{others}.")


def flow(health: Any) -> str:
    """Say in one line what `/health/ingest` says."""
    totals, rates = health.get("totals"), health.get("rates", {})
    if not isinstance(totals, dict):
        return "the API does not say what flows"
    names = ("received", "stored", "duplicate", "rejected", "in_flight")
    counts = [f"{name.replace('_', ' ')} {totals.get(name, 0):,}" for name in names]
    return " · ".join([f"{rates.get('1m') or 0:,.1f} items/s", *counts])


def _get(url: str) -> tuple[int, Any]:
    """Ask our own API; its status (0 if there is no answer) and its JSON ({} if there is none)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error, suppress(ValueError, OSError):
            return error.code, json.load(error)
        return error.code, {}
    except (OSError, ValueError):
        return 0, {}


def _reachable(host: str) -> str:
    """Return where we reach ourselves: `listen everywhere` is no address to connect to."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _stop_on_signals() -> None:
    """Turn the first signal that asks for the end into an exception, and ignore the ones that follow it."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise _Stopped

    for number in STOP_SIGNALS:
        signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
