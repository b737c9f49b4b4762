"""A full disk under the database: needs root, to mount a small one."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.town import Publisher, Town, all_stored, make_town

from usp.embedded import Parts


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 MB."""
    assert os.geteuid() == 0, "mounting a small disk needs root: run make faults as root"
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_loses_nothing(parts: Parts, small_disk: Path, tmp_path: Path) -> None:
    """While the disk is full nothing is acknowledged; with room again everything is stored."""
    async with make_town(parts, small_disk, tmp_path) as town:
        publisher = Publisher(town.broker)
        filler = small_disk / "filler"
        with town.worker() as process:
            await town.ready()
            publisher.send(range(1_000))
            await all_stored(town, 1_000)
            fill(filler)
            publisher.send(range(1_000, 60_000))
            await until_trouble(town)
            filler.unlink()
            if town.postgres.process is not None and town.postgres.process.poll() is not None:
                town.postgres.stop()
                town.postgres.start()
            await asyncio.to_thread(publisher.wait, 60_000)
            await all_stored(town, 60_000)
            assert process.poll() is None
        publisher.close()


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024 * 1024))
        except OSError:
            pass


async def until_trouble(town: Town) -> None:
    """Wait until the worker has noticed that the database cannot write."""
    async with asyncio.timeout(60):
        while "database_unavailable" not in (town.folder / "ingest.log").read_text():
            await asyncio.sleep(0.2)
