"""`usp demo`, as `make run` starts it: up, alive, usable as the README says, and gone without a trace."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The demonstration in its own folder; ends however the test left it."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            # As in the background of a shell, where Ctrl-C is ignored and SIGTERM has to do.
            ["env", "--ignore-signal=INT", sys.executable, "-m", "usp", "demo", *arguments],
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ready(folder: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Wait for the start-up line; returns run.json."""
    deadline = time.monotonic() + 60
    while not (folder / ".usp" / "run.json").exists():
        assert process.poll() is None, (folder / "output").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    facts: dict[str, Any] = json.loads((folder / ".usp" / "run.json").read_text())
    return facts


def get(url: str) -> Any:
    """A JSON document."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - an address of ours
        return json.load(answer)


def listens(url: str) -> bool:
    """Whether anything accepts connections there."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


@pytest.mark.timeout(180)
def test_the_district_is_alive_and_ends_cleanly(tmp_path: Path) -> None:
    """Fresh readings of every kind within half a minute, the README's lines work, and SIGTERM ends all of it."""
    folder = tmp_path / "a path with a space"
    folder.mkdir()
    with demo(folder, "--port", "0") as process:
        facts = ready(folder, process)
        assert facts["pid"] == process.pid
        fresh_within(facts["api"], {"air_quality", "parking", "charging", "energy"}, 30)
        mosquitto_pub = str(folder / ".usp" / "bin" / "mosquitto_pub")
        topic = f"{facts['broker']}/usp/v1/lamp-corso-lodi-1/up"
        message = json.dumps({"time": int(time.time()) - 7, "air_quality.no2": 31.25})
        subprocess.run([mosquitto_pub, "-L", topic, "-q", "1", "-m", message], check=True)
        stored = f"{facts['api']}/v1/datasets/air_quality/readings?device=lamp-corso-lodi-1&where=no2:31.25"
        deadline = time.monotonic() + 10
        while not (rows := get(stored)["data"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert rows[0]["site"] == "corso-lodi"
        process.terminate()
        assert process.wait(15) == 0
    assert not any(listens(facts[part]) for part in ("api", "broker", "database"))
    assert not (folder / ".usp" / "run.json").exists()


def fresh_within(api: str, datasets: set[str], seconds: float) -> None:
    """Wait until each dataset has a reading of the last minute."""
    deadline = time.monotonic() + seconds
    waiting = set(datasets)
    while waiting:
        assert time.monotonic() < deadline, waiting
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
        waiting = {d for d in waiting if not get(f"{api}/v1/datasets/{d}/readings?from={since}&limit=1")["data"]}
        time.sleep(0.5)


@pytest.mark.timeout(180)
def test_after_a_kill_the_next_start_finds_its_data(tmp_path: Path) -> None:
    """Kill -9 leaves nothing running, and the next run goes on with what was stored."""
    with demo(tmp_path, "--no-simulators", "--port", "0") as process:
        first = ready(tmp_path, process)
        # A process on its way out may not hear of its child's death, so wait for what the child does.
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (tmp_path / ".usp" / "run.json").unlink(missing_ok=True)
    deadline = time.monotonic() + 15
    while any(listens(first[part]) for part in ("api", "broker", "database")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with demo(tmp_path, "--no-simulators", "--port", "0") as process:
        again = ready(tmp_path, process)
        assert again["database"] == first["database"]
        assert len(get(f"{again['api']}/v1/devices?kind=lamppost")["data"]) == 20


def test_given_servers_are_used(database_url: str, broker_url: str, tmp_path: Path) -> None:
    """With both addresses given nothing private is started."""
    environment = {"USP_DATABASE_URL": database_url, "USP_BROKER_URL": broker_url}
    os.environ.update(environment)
    try:
        with demo(tmp_path, "--no-simulators", "--port", "0") as process:
            facts = ready(tmp_path, process)
            assert (facts["database"], facts["broker"]) == (database_url, broker_url)
            assert not (tmp_path / ".usp" / "postgres").exists()
            process.terminate()
            assert process.wait(15) == 0
    finally:
        for name in environment:
            del os.environ[name]
    assert listens(database_url)
