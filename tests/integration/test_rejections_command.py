"""`usp rejections`: what people and their programs read."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.integration.street import Street, on_street

from usp.commands.rejected import dumped
from usp.commands.rejections import moment
from usp.ingest.replay import Replayer
from usp.models.rejection import RejectionFilter


@pytest.fixture(scope="module")
async def street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """One sender that nobody knows, and one whose messages are bad in several ways."""
    async with on_street(database_url, db) as made:
        await made.register("lamp-1", profile="native-lamppost")
        bad = ({"no2": "high", "o3": 4}, {"time": "noon"}, b"\xff\xfe\x1b[31m", {"time": "x", "y": "z" * 70_000})
        await made.send("lamp-1", *bad, at=10)
        await made.send("[bold]\x1b[31m\n", {"no2": 5}, at=20)
        await made.send("nobody", *({"no2": n} for n in range(3)), at=30)
        yield made


async def usp(street: Street, *words: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `usp rejections …`."""
    command = [sys.executable, "-m", "usp", "rejections", *words]
    environment = os.environ | {"USP_DATABASE_URL": street.url}
    return await asyncio.to_thread(
        lambda: subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    )


async def test_list_is_a_table_of_what_waits(street: Street) -> None:
    """Newest first, tab-separated for programs, with nothing in it that a terminal would obey."""
    done = await usp(street, "list")
    assert done.returncode == 0, done.stderr
    header, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert header == ["id", "received_at", "door", "address", "device", "field", "reason", "detail", "resolved_at"]
    assert [row[6] for row in rows] == [
        *["unknown_device"] * 4, "bad_time", "not_json", "bad_time", "wrong_type",
    ]  # fmt: skip
    assert rows[0][1:4] == ["2026-01-01T00:00:32Z", "mqtt", "nobody"]
    assert rows[3][3] == "[bold]\\x1b[31m\\n"
    assert rows[-1][4:6] == ["lamp-1", "no2"]
    assert "\x1b" not in done.stdout


async def test_list_takes_filters(street: Street) -> None:
    """All at once, and as lines of JSON with the items."""
    words = ("--device", "lamp-1", "--since", "2026-01-01", "--until", "2026-01-01T01:00:12+01:00", "--limit", "1")
    done = await usp(street, "list", *words, "--json")
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert (told["reason"], told["payload"]) == ("bad_time", '{"time":"noon"}')
    as_in_the_api = {"--since": "--from", "--until": "--to"}
    again = await usp(street, "list", *(as_in_the_api.get(word, word) for word in words), "--json")
    assert again.stdout == done.stdout
    assert (await usp(street, "list", "--resolved")).stdout.count("\n") == 1


async def test_a_table_on_a_terminal_shows_any_text(street: Street) -> None:
    """Whatever a stranger calls himself: square brackets are no markup."""

    def on_terminal() -> str:
        master, slave = pty.openpty()
        environment = os.environ | {"USP_DATABASE_URL": street.url, "COLUMNS": "200", "TERM": "xterm"}
        command = [sys.executable, "-m", "usp", "rejections", "list", "--reason", "unknown_device"]
        with subprocess.Popen(command, env=environment, stdout=slave, stderr=slave) as process:
            os.close(slave)
            found = b""
            try:
                while piece := os.read(master, 10_000):
                    found += piece
            except OSError:  # the other end is closed
                pass
            assert process.wait(20) == 0, found
        os.close(master)
        return found.decode()

    shown = await asyncio.to_thread(on_terminal)
    assert "[bold]\\x1b[31m" in shown


async def test_show_tells_everything(street: Street) -> None:
    """The explanation, the facts, and the item: as JSON, as bytes, or its digest."""
    ids = {r["payload_length"]: str(r["id"]) for r in await street.rejections("lamp-1")}
    high, binary, large = ids[21], ids[7], max(ids.items())[1]
    shown = (await usp(street, "show", high)).stdout
    for words in (
        "wrong_type",
        "The value has another type than the property.",
        "topic     usp/v1/lamp-1/up",
        "field     no2",
        "this value; the rest of the item was stored",
        "replayed  never",
        "resolved  no, it waits",
        '{\n  "no2": "high",\n  "o3": 4\n}',
    ):
        assert words in shown, shown
    assert "00000000  ff fe 1b 5b 33 31 6d " in (await usp(street, "show", binary)).stdout
    assert "too large to be kept; SHA-256 " in (await usp(street, "show", large)).stdout
    missing = await usp(street, "show", "99999")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no rejection '99999'" in missing.stderr


async def test_stats_tell_also_what_was_only_counted(street: Street) -> None:
    """Open and resolved, kept and total."""
    await street.db.execute("UPDATE usp.rejection_tally SET total = total + 10 WHERE address = 'nobody'")
    rows = [line.split("\t") for line in (await usp(street, "stats", "--by", "address")).stdout.splitlines()]
    assert rows[0] == ["address", "open", "resolved", "kept", "only_counted", "total", "last"]
    assert ["nobody", "3", "0", "3", "10", "13", "2026-01-01T00:00:32Z"] in rows
    days = await usp(street, "stats", "--by", "day")
    assert days.stdout.splitlines() == ["day\topen\tresolved", "2026-01-01\t8\t0"]
    reasons = await usp(street, "stats")
    assert reasons.stdout.splitlines()[1].startswith("unknown_device\t4\t0\t4\t10\t14\t")


async def test_replay_sums_up(street: Street) -> None:
    """A dry run tells what would become of them; then it becomes of them; then nothing waits."""
    await street.register("nobody", profile="native-lamppost")
    tried = await usp(street, "replay", "--address", "nobody", "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout == "3 chosen: 3 would be resolved, 0 would still be refused.\nNothing has been written.\n"
    assert await street.readings("nobody") == []
    done = await usp(street, "replay", "--address", "nobody")
    assert done.stdout == "3 chosen: 3 resolved, 0 still refused.\n"
    assert len(await street.readings("nobody")) == 3
    again = await usp(street, "replay", "--address", "nobody")
    assert (again.returncode, again.stdout) == (0, "Nothing that can be taken up waits.\n")
    rest = await usp(street, "replay", "--device", "lamp-1")
    assert rest.returncode == 0
    assert rest.stdout.splitlines() == [
        "1 match, but were too large to be kept: only length and digest are there, and nothing can be taken up.",
        "3 chosen: 0 resolved, 3 still refused (bad_time 1, not_json 1, wrong_type 1).",
    ]


async def test_replay_takes_numbers(street: Street) -> None:
    """Those that there are not are an error; those that are resolved are told."""
    await street.send("somebody", {"no2": 1})
    await street.register("somebody", profile="native-lamppost")
    (rejection,) = await street.rejections("somebody")
    missing = await usp(street, "replay", str(rejection["id"]), "99999")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "No rejection has the number 99999." in missing.stderr
    assert (await usp(street, "replay", str(rejection["id"]))).stdout.startswith("1 chosen: 1 resolved")
    again = await usp(street, "replay", str(rejection["id"]))
    assert again.stdout == "1 had been resolved before.\nNothing that can be taken up waits.\n"


async def test_a_second_replay_is_told(street: Street) -> None:
    """In one line, and with status 1."""
    first = Replayer(street.url, street.profiles, {}).replay(RejectionFilter())
    await anext(first)
    second = await usp(street, "replay")
    await first.aclose()
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "usp: Another replay is under way; wait until it has ended.\n"


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (("list", "--reason", "unkown_device"), 2, "did you mean unknown_device?"),
        (("replay", "--reason", "xyz"), 2, "it takes wrong_topic, too_large"),
        (("list", "--device", "lamp-11"), 1, "Did you mean lamp-1?"),
        (("list", "--since", "soon"), 2, "is neither 30m, 2h"),
        (("stats", "--by", "daay"), 2, "did you mean day?"),
    ],
)
async def test_mistakes_are_told(street: Street, words: tuple[str, ...], status: int, hint: str) -> None:
    """With the nearest right word."""
    done = await usp(street, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert hint in " ".join(done.stderr.replace("│", " ").split())


def test_moments_are_told_as_people_do() -> None:
    """A while ago, or a time; without an offset it is in UTC."""
    assert moment("--since", None) is None
    ago = datetime.now(UTC) - (moment("--since", "2h") or datetime.now(UTC))
    assert abs(ago - timedelta(hours=2)) < timedelta(seconds=5)
    assert moment("--since", "2026-11-20") == datetime(2026, 11, 20, tzinfo=UTC)
    assert moment("--since", "2026-11-20T09:00:00+01:00") == datetime(2026, 11, 20, 8, tzinfo=UTC)
    for text in ("", "2", "-1d", "999999w", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(typer.BadParameter):
            moment("--since", text)


def test_bytes_are_shown_side_by_side() -> None:
    """Offset, hexadecimal, ASCII."""
    assert list(dumped(b"usp\x00\xff" + b"-" * 12)) == [
        "00000000  75 73 70 00 ff 2d 2d 2d 2d 2d 2d 2d 2d 2d 2d 2d  usp..-----------",
        "00000010  2d                                               -",
    ]
