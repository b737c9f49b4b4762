"""The private TimescaleDB and Mosquitto: what is stored stays, however the last run ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from usp.embedded import EmbeddedUnavailable, FolderInUse, Mosquitto, Parts, Postgres, get_parts
from usp.embedded.debian import mirrors
from usp.embedded.process import end_orphan

PARENT = """
import sys, time
from pathlib import Path
from usp.embedded import Mosquitto, Postgres, get_parts

folder = Path(sys.argv[1])
database = Postgres(get_parts(), folder / "postgres").start()
broker = Mosquitto(get_parts(), folder / "mosquitto").start()
database.psql("usp", "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def parts() -> Parts:
    """Unpack the programs, once."""
    return get_parts()


def start_parent(folder: Path) -> subprocess.Popen[str]:
    """Start a process that starts both servers."""
    argv = [sys.executable, "-c", PARENT, str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def count(database: Postgres) -> str:
    """Add a row and count all."""
    return database.psql(
        "usp",
        "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1); SELECT count(*) FROM kept",
    )


def publish(parts: Parts, broker: Mosquitto, text: str) -> None:
    """Send a message with QoS 1."""
    argv = [str(parts.mosquitto_pub), "-p", str(broker.port), "-t", "usp/v1/lamp-1/up", "-q", "1", "-m", text]
    subprocess.run(argv, check=True, timeout=10)


def take(parts: Parts, broker: Mosquitto, messages: int) -> list[str]:
    """Open the persistent session `worker` and take what waits in it; with 0 only subscribe."""
    argv = [
        str(parts.mosquitto_sub),
        "-p",
        str(broker.port),
        "-c",
        "-i",
        "worker",
        "-t",
        "usp/v1/+/up",
        "-q",
        "1",
    ]
    argv += ["-C", str(messages), "-W", "10"] if messages else ["-E"]
    result = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=15)
    return result.stdout.splitlines()


def plain(folder: Path) -> Path:
    """Name a folder with nothing special about it."""
    return folder / "plain"


def with_a_space(folder: Path) -> Path:
    """Name a folder that shell scripts stumble over."""
    return folder / "a folder with spaces"


def closed(folder: Path) -> Path:
    """Name a folder below one that only its owner may pass, which for root keeps the servers' account out."""
    above = folder / "closed"
    above.mkdir(mode=0o700)
    return above / "data"


@pytest.mark.parametrize("place", [plain, with_a_space, closed])
def test_restart(place: Callable[[Path], Path], tmp_path: Path, parts: Parts) -> None:
    """Data, password and ports are the same after a restart, wherever the folder lies."""
    folder = place(tmp_path)
    database, broker = Postgres(parts, folder / "postgres"), Mosquitto(parts, folder / "mosquitto")
    with database, broker:
        before = database.url, broker.url
        assert count(database) == "1"
        take(parts, broker, 0)
        publish(parts, broker, "while the worker is away")
    with database, broker:
        assert (database.url, broker.url) == before
        assert count(database) == "2"
        assert take(parts, broker, 1) == ["while the worker is away"]


def test_extensions(tmp_path: Path, parts: Parts) -> None:
    """The database has TimescaleDB and what exclusion constraints over identifiers need; its time is UTC."""
    with Postgres(parts, tmp_path / "postgres", scratch=True) as database:
        found = database.psql("usp", "SELECT extname FROM pg_extension ORDER BY 1; SHOW timezone").split()
        assert {"timescaledb", "btree_gist"} <= set(found)
        assert found[-1] == "UTC"


def test_template(tmp_path: Path, parts: Parts) -> None:
    """A scratch server's database can be cloned: no scheduler is connected to it."""
    with Postgres(parts, tmp_path / "postgres", scratch=True) as database:
        database.psql("postgres", "CREATE DATABASE clone TEMPLATE usp")
        assert database.psql("clone", "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == "1"


def test_secrets(tmp_path: Path, parts: Parts) -> None:
    """The password is nobody else's to read, and without it the server lets nobody in."""
    with Postgres(parts, tmp_path / "postgres", scratch=True) as database:
        assert (tmp_path / "postgres/password").stat().st_mode & 0o077 == 0
        argv = [str(parts.psql), "-h", "127.0.0.1", "-p", str(database.port), "-U", "usp", "-w", "-l"]
        assert subprocess.run(argv, check=False, capture_output=True).returncode != 0


def test_killed_server(tmp_path: Path, parts: Parts) -> None:
    """A server that was killed starts again at once with everything that was committed."""
    database, broker = Postgres(parts, tmp_path / "postgres"), Mosquitto(parts, tmp_path / "mosquitto")
    with database, broker:
        assert count(database) == "1"
        for server in (database, broker):
            assert server.process is not None
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    with database, broker:
        assert count(database) == "2"


def test_killed_parent(tmp_path: Path, parts: Parts) -> None:
    """Whoever starts the servers may be killed; the next start finds the data and no server in its way."""
    with start_parent(tmp_path) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
    with Postgres(parts, tmp_path / "postgres") as database, Mosquitto(parts, tmp_path / "mosquitto"):
        assert count(database) == "2"


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    """Nothing stays behind when the parent is killed."""
    with start_parent(tmp_path) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(commands_naming(tmp_path)) >= 3
        parent.kill()
    deadline = time.monotonic() + 10
    while commands_naming(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert commands_naming(tmp_path) == []


def commands_naming(folder: Path) -> list[str]:
    """List the command lines in which the folder is named."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return [command for command in found if str(folder) in command]


def test_stale_number(tmp_path: Path, parts: Parts) -> None:
    """A number of an earlier run that now belongs to another program stops nothing and harms nobody."""
    database = Postgres(parts, tmp_path / "postgres")
    with database:
        count(database)
    stale = tmp_path / "postgres/data/postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n0\n{database.port}\n\n127.0.0.1\n  1 1\nready\n")
    (tmp_path / "mosquitto").mkdir()
    (tmp_path / "mosquitto/pid").write_text(f"{os.getpid()}\n")
    with database, Mosquitto(parts, tmp_path / "mosquitto"):
        assert count(database) == "2"


def test_orphan() -> None:
    """A server that outlived its parent is ended; a process that only has its number is not."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "/its/folder"]) as process:
        time.sleep(0.2)
        end_orphan(process.pid, "/another/folder", (signal.SIGTERM, 5.0))
        assert process.poll() is None
        end_orphan(process.pid, "/its/folder", (signal.SIGTERM, 5.0))
        assert process.wait(5) == -signal.SIGTERM


def test_half_made_folder(tmp_path: Path, parts: Parts) -> None:
    """A first start that was broken off is begun anew."""
    partial = tmp_path / "postgres/data.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("17\n")
    with Postgres(parts, tmp_path / "postgres", scratch=True) as database:
        assert count(database) == "1"


def test_port_taken(tmp_path: Path, parts: Parts) -> None:
    """A port that somebody else took meanwhile is left to them."""
    with Mosquitto(parts, tmp_path / "one") as one:
        (tmp_path / "two").mkdir()
        (tmp_path / "two/port").write_text(f"{one.port}\n")
        with Mosquitto(parts, tmp_path / "two") as two:
            assert two.port != one.port


def test_two_at_once(tmp_path: Path, parts: Parts) -> None:
    """Two checkouts start at the same time and see nothing of each other."""
    databases = [Postgres(parts, tmp_path / name, scratch=True) for name in ("one", "two")]
    # The threads stay until the servers are stopped: a server ends with the thread that started it.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Postgres.start, databases))
        try:
            assert [count(database) for database in databases] == ["1", "1"]
            assert databases[0].port != databases[1].port
        finally:
            for database in databases:
                database.stop()


def test_second_start_is_refused(tmp_path: Path, parts: Parts) -> None:
    """A folder in use is refused in one line that names who uses it, and the first goes on."""
    with Postgres(parts, tmp_path / "postgres", scratch=True) as database:
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} runs there") as refusal:
            Postgres(parts, tmp_path / "postgres").start()
        assert "\n" not in str(refusal.value)
        assert count(database) == "1"


@pytest.mark.parametrize("found", [[], ["file:/nowhere/debian"]])
def test_no_mirror(found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mirror the error says what to give instead, and nothing half-made stays behind."""
    monkeypatch.setattr("usp.embedded.debian.mirrors", lambda _: found)
    with pytest.raises(EmbeddedUnavailable, match="give USP_DATABASE_URL and USP_BROKER_URL"):
        get_parts(cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/apt bookworm main
deb http://security.example/debian-security bookworm-security main
deb-src http://source.example/debian bookworm main
deb http://mirror.example/debian/ bookworm main contrib # the one
"""

DEB822 = """
Types: deb
URIs: https://vendor.example/apt
Suites: bookworm
Components: main

Types: deb deb-src
# URIs: http://old.example/debian
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize(("name", "text"), [("debian.list", ONE_LINE), ("debian.sources", DEB822)])
def test_mirror(name: str, text: str, tmp_path: Path) -> None:
    """Debian's own mirror is found among third parties, in both formats of apt's sources."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    assert mirrors("bookworm", tmp_path) == ["http://mirror.example/debian/", "https://vendor.example/apt"]
    assert mirrors("trixie", tmp_path) == []
