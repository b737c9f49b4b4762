"""A million items with every fault the simulators know: through repeated kills, and once without, for the memory."""

from pathlib import Path

import pytest
from tests.integration.test_reconcile_faults import Drive, Sender, balance, settle, stream, tell
from tests.integration.town import make_town

from usp.embedded import Parts

ITEMS = 1_000_000
FAULTS = "all"
#: After how many items what is killed, or in the broker's case ended and started again.
KILLS = sorted(
    [(at, "worker") for at in range(60_000, ITEMS, 70_000)]
    + [(at, "database") for at in (165_000, 510_000, 855_000)]
    + [(at, "broker") for at in (300_000, 720_000)]
)
#: What a worker may grow after its first 100,000 items.
WARM, GROWTH = 100_000, 1.2


@pytest.mark.timeout(1800)
async def test_a_million_items_reconcile_through_repeated_kills(parts: Parts, tmp_path: Path) -> None:
    """Two weeks of the district: each item is stored once, recognised, or refused with its reason."""
    manifest = tmp_path / "manifest.jsonl"
    async with make_town(parts, tmp_path, tmp_path) as town:
        await settle(town)
        drive = Drive(town, Sender(town.broker, stream(ITEMS * 1.05, FAULTS), manifest))
        recovery = await drive.run(KILLS)
        accounts = await balance(town, manifest, exact=False)
    assert accounts.items >= ITEMS
    assert any(drive.under_way)
    tell("a million, killed", accounts, recovery, kills=len(KILLS), under_way=sum(drive.under_way) // len(KILLS))


@pytest.mark.timeout(1800)
async def test_a_million_items_do_not_make_a_worker_grow(parts: Parts, tmp_path: Path) -> None:
    """The same without kills: every count is exact, and memory stays what it was after the first 100,000.

    A worker's memory is that of the most it ever had in flight, which the load decides. So its window is full at the
    beginning, and what is added later is growth.
    """
    manifest = tmp_path / "manifest.jsonl"
    async with make_town(parts, tmp_path, tmp_path) as town:
        await settle(town)
        drive = Drive(town, Sender(town.broker, stream(ITEMS * 1.05, FAULTS), manifest))
        await drive.run(pent_up=True)
        accounts = await balance(town, manifest, exact=True)
    assert accounts.items >= ITEMS
    first = next(memory for items, memory in drive.memory if items >= WARM)
    most = max(memory for items, memory in drive.memory if items >= WARM)
    tell("a million", accounts, {}, memory_mb=[first // 1024, most // 1024], growth=round(most / first, 3))
    assert most <= GROWTH * first
