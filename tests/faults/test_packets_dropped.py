"""A host that vanishes: packets are dropped, both sides keep their sockets. Needs root, for a network namespace."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from tests.integration.town import Health, Publisher, Town, health, make_town, publisher, settled

from usp.embedded import Parts, mosquitto, postgres
from usp.ingest.committer import COMMIT_TIMEOUT_S

__all__ = ["health", "publisher"]

HERE, THERE = "10.203.77.1", "10.203.77.2"
#: Nobody has this address, so what is sent to it arrives nowhere.
NOBODY = "02:00:00:00:00:99"


@dataclass
class Host:
    """Another host, as far as TCP can tell: a network namespace at the other end of a cable."""

    name: str

    @property
    def within(self) -> list[str]:
        """What runs a command there."""
        return ["ip", "netns", "exec", self.name]

    def vanish(self) -> None:
        """Let every packet to and from it be lost, without a word to anybody."""
        for prefix, address, device in (([], THERE, f"{self.name}a"), (self.within, HERE, f"{self.name}b")):
            _ip(*prefix, "ip", "neigh", "replace", address, "lladdr", NOBODY, "dev", device, "nud", "permanent")

    def come_back(self) -> None:
        """Let packets through again."""
        for prefix, address, device in (([], THERE, f"{self.name}a"), (self.within, HERE, f"{self.name}b")):
            _ip(*prefix, "ip", "neigh", "del", address, "dev", device)


def _ip(*command: str) -> None:
    subprocess.run(command, check=True)


@pytest.fixture
def host() -> Iterator[Host]:
    """A host beside this one."""
    assert os.geteuid() == 0, "a network namespace needs root: run make faults as root"
    made = Host(f"usp{os.getpid()}")
    here, there = f"{made.name}a", f"{made.name}b"
    _ip("ip", "netns", "add", made.name)
    try:
        _ip("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", made.name)
        _ip("ip", "addr", "add", f"{HERE}/30", "dev", here)
        _ip("ip", "link", "set", here, "up")
        _ip(*made.within, "ip", "addr", "add", f"{THERE}/30", "dev", there)
        _ip(*made.within, "ip", "link", "set", there, "up")
        yield made
    finally:
        _ip("ip", "netns", "del", made.name)


@pytest.fixture
async def town(host: Host, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """A town whose servers that host can reach."""
    monkeypatch.setitem(postgres.SETTINGS, "listen_addresses", f"127.0.0.1,{HERE}")
    monkeypatch.setattr(mosquitto, "LOCAL", mosquitto.LOCAL + f"listener {{port}} {HERE}\n")
    async with make_town(parts, tmp_path, tmp_path) as made:
        with (tmp_path / "postgres" / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {THERE}/32 scram-sha-256\n")
        await made.query("SELECT pg_reload_conf()")
        yield made


@pytest.mark.timeout(400)
async def test_a_host_that_vanishes_for_a_while(town: Town, host: Host, publisher: Publisher, health: Health) -> None:
    """Every packet is dropped for longer than a commit may take; then ingest goes on by itself."""
    with there(town, host) as worker:
        await town.ready()
        async with publisher.streaming(400):
            await asyncio.sleep(1)
            host.vanish()
            await health.says(60, database="ok", ingest="failing")
            await asyncio.sleep(COMMIT_TIMEOUT_S)
            host.come_back()
        since = time.monotonic()
        await settled(town, publisher, health, "packets dropped for 90 s", since, within=150)
        assert worker.poll() is None


@pytest.mark.timeout(400)
async def test_a_host_that_vanishes_with_an_answer_under_way_is_inherited(
    town: Town, host: Host, publisher: Publisher, health: Health
) -> None:
    """What the broker keeps for its worker is taken over by another within two minutes."""
    with there(town, host), town.worker():
        await town.ready(2)
        blocker = await asyncpg.connect(town.postgres.url)
        publisher.more(500)
        await asyncio.to_thread(publisher.wait, 500)
        await town.reaches("SELECT count(*) FROM usp.air_quality", 500)
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM usp.air_quality_latest FOR UPDATE")
        publisher.more(2_000)
        await town.reaches(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-ingest' AND wait_event_type = 'Lock'",
            2,
        )
        host.vanish()
        # Now the server has something to say, and keeps trying to deliver it.
        await blocker.close()
        since = time.monotonic()
        await settled(town, publisher, health, "host gone with an answer under way", since, within=150)
        host.come_back()


def there(town: Town, host: Host) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker on that host."""
    return town.worker(
        database=town.postgres.url.replace("127.0.0.1", HERE),
        broker=town.broker.url.replace("127.0.0.1", HERE),
        within=host.within,
    )
