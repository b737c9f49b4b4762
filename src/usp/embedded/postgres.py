"""A private PostgreSQL with TimescaleDB, in one folder, on the loopback interface."""

import os
import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from usp.embedded.errors import EmbeddedFailed
from usp.embedded.parts import Parts
from usp.embedded.process import (
    LOOPBACK,
    as_service,
    end_orphan,
    ending_with_us,
    free_port,
    give,
    make_private,
    open_log,
    tail,
    wait_until,
    write_private,
)
from usp.embedded.server import Server

SETTINGS = {
    "listen_addresses": LOOPBACK,
    # A socket's path may have 107 characters at most; a checkout may lie deeper.
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "4",
    "max_worker_processes": "16",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "lz4",
    # The compiler library it needs is larger than everything else together.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

# Of a database that is thrown away after a test nothing has to survive a power cut, and a template database
# cannot be cloned while Timescale's scheduler is connected to it.
SCRATCH_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "timescaledb.max_background_workers": "0",
}

# SIGINT is PostgreSQL's fast shutdown (disconnect everybody, write everything), SIGQUIT the immediate one.
STOP = ((signal.SIGINT, 6.0), (signal.SIGQUIT, 2.0))

CREATE_DATABASE = """
SELECT 'CREATE DATABASE usp' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'usp') \\gexec
"""
# The extension's tables stay as they were when newer libraries are unpacked.
UPDATE_EXTENSION = """
SELECT 'ALTER EXTENSION timescaledb UPDATE' FROM pg_available_extensions
WHERE name = 'timescaledb' AND installed_version <> default_version \\gexec
"""
CREATE_EXTENSIONS = """
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE EXTENSION IF NOT EXISTS btree_gist;
"""


class Postgres(Server):
    """A PostgreSQL with TimescaleDB, whose data folder is made at the first start."""

    ending = STOP

    def __init__(self, parts: Parts, folder: Path, *, scratch: bool = False) -> None:
        super().__init__(folder)
        self._parts = parts
        self._data = self._folder / "data"
        self._settings = SETTINGS | (SCRATCH_SETTINGS if scratch else {})

    @property
    def url(self) -> str:
        """Where to connect, and as whom."""
        return self.url_of("usp")

    def url_of(self, database: str) -> str:
        """Return the same for another database of this server."""
        return f"postgresql://usp:{self._password()}@{LOOPBACK}:{self.port}/{database}"

    def _password(self) -> str:
        return (self._folder / "password").read_text().strip()

    def _init(self) -> None:
        """Make the data folder; what an attempt that was broken off left is not taken for whole."""
        partial = self._folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        make_private(partial)
        password = self._folder / "password"
        write_private(password, secrets.token_urlsafe(24) + "\n")
        give(password)
        argv: list[str | Path] = [self._parts.initdb, "-D", partial, "-U", "usp", f"--pwfile={password}"]
        argv += ["--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        result = subprocess.run(  # noqa: S603
            as_service(argv, partial),
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise EmbeddedFailed(f"initdb: {result.stderr.strip()}")
        partial.rename(self._data)

    def _end_orphan(self) -> None:
        """End a server that outlived the process that started it; it would keep the data locked."""
        pid_file = self._data / "postmaster.pid"
        with suppress(OSError, ValueError, IndexError):
            end_orphan(int(pid_file.read_text().splitlines()[0]), str(self._data), *STOP)
        # We hold the folder's lock and the server named in there is gone.
        pid_file.unlink(missing_ok=True)

    def _launch(self) -> None:
        if not self._data.is_dir():
            self._init()
        # More than once: the port may be taken between looking and listening, and the backends of a killed
        # server need a moment to notice, until when its shared memory is in use.
        for _ in range(4):
            self.port = free_port(self._folder / "port")
            argv: list[str | Path] = [self._parts.postgres, "-D", self._data, "-p", str(self.port)]
            for name, value in self._settings.items():
                argv += ["-c", f"{name}={value}"]
            command = as_service(ending_with_us(argv, signal.SIGINT), self._data)
            with open_log(self.log) as log:
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    cwd="/",
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if wait_until(self._process, self._is_ready, seconds=60):
                self._prepare()
                return
            self._end()
        raise EmbeddedFailed(f"PostgreSQL, log {self.log}:\n{tail(self.log)}")

    def _is_ready(self) -> bool:
        # The eighth line is the server's state, and can be read before anybody can connect.
        with suppress(OSError, IndexError):
            return (self._data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        return False

    def _prepare(self) -> None:
        self.psql("postgres", CREATE_DATABASE)
        self.psql("usp", UPDATE_EXTENSION)
        self.psql("usp", CREATE_EXTENSIONS)

    def psql(self, database: str, script: str) -> str:
        """Run a script in one of the server's databases and return what it printed."""
        argv: list[str | Path] = [self._parts.psql, "-XqtA", "-v", "ON_ERROR_STOP=1", "-h", LOOPBACK]
        argv += ["-p", str(self.port), "-U", "usp", "-d", database]
        env = _environment() | {"PGPASSWORD": self._password()}
        result = subprocess.run(  # noqa: S603
            argv, input=script, env=env, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise EmbeddedFailed(f"PostgreSQL: {result.stderr.strip()}")
        return result.stdout.strip()


def _environment() -> dict[str, str]:
    """Our environment without what would steer PostgreSQL elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LD_"))}
    return kept | {"LC_ALL": "C.UTF-8"}
