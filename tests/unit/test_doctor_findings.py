"""What the doctor makes of what it finds."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from usp.doctor import machine
from usp.doctor.database import judge_clock, place
from usp.doctor.findings import Check, OutOfTime, Patience, Report, Status, document, fail, ok, table, warn, worst
from usp.doctor.schema import judge_revision, judge_workers
from usp.errors import DatabaseUnavailable
from usp.settings import Settings


def _settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("offset", "trip", "status"),
    [
        (0.01, 0.001, Status.OK),
        (-0.9, 0.001, Status.OK),
        (-1.5, 0.001, Status.WARN),
        (1.5, 1.2, Status.OK),
        (61, 0.001, Status.FAIL),
        (-90_000, 0.001, Status.FAIL),
    ],
)
def test_a_clock_is_judged_as_far_as_it_is_known(offset: float, trip: float, status: Status) -> None:
    """Beyond a second is worth a word, beyond a minute a mistake; half a round trip is what cannot be known."""
    assert judge_clock(offset, trip).status is status


@pytest.mark.parametrize(
    ("revision", "status", "word"),
    [("0003", Status.OK, "newest"), ("0001", Status.FAIL, "0002, 0003"), ("0099", Status.FAIL, "does not know")],
)
def test_a_revision_is_compared_in_both_directions(revision: str, status: Status, word: str) -> None:
    """A database may be older than the program, or newer."""
    finding = judge_revision(revision, ["0001", "0002", "0003"])
    assert finding.status is status
    assert word in finding.found


def _worker(slot: int, silent: float, *, connected: bool = True) -> dict[str, Any]:
    return {"slot": slot, "host": "box", "pid": 7, "connected": connected, "in_flight": 5, "silent": silent}


@pytest.mark.parametrize(
    ("rows", "status", "word"),
    [
        ([], Status.WARN, "No ingest worker"),
        ([_worker(0, 0.5), _worker(1, 0.2)], Status.OK, "2 running and connected; 10 messages"),
        ([_worker(0, 0.5, connected=False)], Status.WARN, "not connected"),
        ([_worker(0, 0.5), _worker(3, 7_300)], Status.WARN, "Slot 3 (box, process 7) was last heard of 2 h ago"),
        ([_worker(0, 7_300)], Status.WARN, "usp-ingest-0 waits"),
    ],
)
def test_dead_workers_are_named_with_their_queues(rows: list[dict[str, Any]], status: Status, word: str) -> None:
    """Whoever is dead has left a session at the broker, whose name tells where the messages are."""
    finding = judge_workers(rows)
    assert finding.status is status
    assert word in finding.found


async def test_a_check_that_breaks_is_a_finding() -> None:
    """Whatever a check meets, the next one is made."""

    def breaks() -> Any:
        raise ZeroDivisionError("by nothing")

    async def refused() -> Any:
        raise asyncpg.UndefinedTableError("no such table")

    ended = []
    report = Report("area")
    report.run("one", breaks)
    await report.wait("two", refused(), 1, lambda: None)
    await report.wait("three", asyncio.sleep(60, ok("never")), 0.01, lambda: ended.append(True))
    report.run("four", lambda: ok("Well."))
    assert [check.finding.status for check in report.checks] == [Status.FAIL, Status.WARN, Status.WARN, Status.OK]
    assert ended
    assert all(check.finding.advice for check in report.checks[:3])


def test_patience_ends() -> None:
    """No check begins when the time is over, or nobody waits any more."""
    patience = Patience(60)
    assert 0 < patience.left(5) <= 5
    patience.give_up()
    with pytest.raises(OutOfTime):
        patience.left(5)
    with pytest.raises(OutOfTime):
        Patience(0).left(5)


def test_the_worst_finding_decides() -> None:
    """One failure makes the whole a failure; programs and people are told the same."""
    checks = [
        Check("a", "x", ok("Well.")),
        Check("a", "y", warn("So so [bold].", "Mend it.")),
        Check("b", "z", fail("Broken.", "Repair it.")),
    ]
    assert worst(checks) is Status.FAIL
    assert worst(checks[:2]) is Status.WARN
    assert worst([]) is Status.OK
    told = json.loads(json.dumps(document(checks)))
    assert told["status"] == "fail"
    assert told["checks"][1] == {
        "area": "a", "check": "y", "status": "warn", "found": "So so [bold].", "advice": "Mend it."
    }  # fmt: skip
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(checks))
    assert "So so [bold]." in capture.get()
    assert "→ Mend it." in capture.get()


def test_passwords_are_not_shown() -> None:
    """A database is named by host, port and name."""
    assert place("postgresql://city:secret@db.example/usp") == "db.example:5432/usp"


def test_without_addresses_the_running_demo_is_looked_at(tmp_path: Path) -> None:
    """`usp demo` writes down where its database and broker are; what is set goes before that."""
    facts = {"database": "postgresql://usp:x@127.0.0.1:1/usp", "broker": "mqtt://127.0.0.1:2"}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    for name in machine.FOLDERS.values():
        (tmp_path / name).mkdir()
    found = machine.addresses(_settings(data_dir=tmp_path))
    assert (found.database, found.broker) == (facts["database"], facts["broker"])
    assert found.own == {"database", "broker"}
    found = machine.addresses(_settings(data_dir=tmp_path, broker_url="mqtt://broker.example"))
    assert found.broker == "mqtt://broker.example"
    assert found.own == {"database"}
    assert machine.addresses(_settings(data_dir=tmp_path / "elsewhere")).database is None


def test_a_broken_profile_is_named(tmp_path: Path) -> None:
    """A profile that cannot be loaded keeps ingest from starting."""
    (tmp_path / "mine.yaml").write_text("name: [")
    settings = _settings(profiles_dir=tmp_path)
    checks, profiles = machine.examine(settings, machine.addresses(settings))
    (finding,) = [check.finding for check in checks if check.check == "profiles"]
    assert finding.status is Status.FAIL
    assert "mine.yaml" in finding.found
    assert profiles is None


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    """A server that goes away while it is asked is a failure."""
    report = Report("area")

    def gone() -> Any:
        raise DatabaseUnavailable

    assert report.run("one", gone).status is Status.FAIL
