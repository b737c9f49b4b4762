"""What was found, how bad it is, and what to do about it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from threading import Event
from typing import Any

import asyncpg
from rich.table import Table
from rich.text import Text

from usp.errors import UspError

HEADER = ("status", "area", "check", "found", "advice")


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


_STYLES = {Status.OK: "green", Status.WARN: "bold yellow", Status.FAIL: "bold red"}
_WORST_FIRST = (Status.FAIL, Status.WARN, Status.OK)


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; whatever is not ok says in one sentence what to do."""

    status: Status
    found: str
    advice: str = ""


def ok(found: str) -> Finding:
    """As it should be."""
    return Finding(Status.OK, found)


def warn(found: str, advice: str) -> Finding:
    """It works, but not as it might, or not for ever."""
    return Finding(Status.WARN, found, advice)


def fail(found: str, advice: str) -> Finding:
    """It does not work, or something that is promised does not hold."""
    return Finding(Status.FAIL, found, advice)


class OutOfTime(UspError):
    """The time was over before this was known."""


class Patience:
    """How long the whole may still take. A server that answers nothing uses it up, and no more than that."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._given_up = Event()

    def left(self, at_most: float) -> float:
        """Seconds that something may take."""
        left = min(at_most, self._end - time.monotonic())
        if left <= 0 or self._given_up.is_set():
            raise OutOfTime
        return left

    def give_up(self) -> None:
        """Nobody waits for the answer any more."""
        self._given_up.set()


@dataclass(frozen=True)
class Check:
    """A finding and where it belongs."""

    area: str
    check: str
    finding: Finding

    def row(self) -> tuple[str, ...]:
        """The texts under `HEADER`."""
        return (self.finding.status, self.area, self.check, self.finding.found, self.finding.advice)


@dataclass
class Report:
    """The checks of one area, in their order. What one of them meets never keeps the next from being made."""

    area: str
    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, finding: Finding) -> Finding:
        """Take down a finding."""
        self.checks.append(Check(self.area, name, finding))
        return finding

    def run(self, name: str, check: Callable[[], Finding]) -> Finding:
        """Make a check and take down what it finds."""
        try:
            finding = check()
        except Exception as error:  # noqa: BLE001 - a check that breaks is a finding
            finding = broken(error)
        return self.add(name, finding)

    async def wait(
        self, name: str, check: Coroutine[Any, Any, Finding], seconds: float, end: Callable[[], None]
    ) -> None:
        """The same for one that waits; `end` cuts off what it waits for when it takes too long."""
        task = asyncio.ensure_future(check)
        if not (await asyncio.wait({task}, timeout=seconds))[0]:
            end()
            task.cancel()
            await asyncio.wait({task})
            self.add(name, broken(TimeoutError()))
        elif error := task.exception():
            self.add(name, broken(error))
        else:
            self.add(name, task.result())


_LESS_TO_DO = "Try again when there is less to do."
#: What a check may meet -> how bad that is and what to do; what is not here is a fault of the server or of ours.
_BROKEN: tuple[tuple[tuple[type[BaseException], ...], Status, str], ...] = (
    ((asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError), Status.WARN, _LESS_TO_DO),
    ((asyncpg.InsufficientPrivilegeError,), Status.WARN, "Ask again with an account that may see this."),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError),
        Status.WARN,
        "The schema is not this program's: see `migrations`.",
    ),
    ((OSError, UspError), Status.FAIL, "Try again, and look into the server's log."),
)


def broken(error: BaseException) -> Finding:
    """What it means that a check could not be made."""
    if isinstance(error, TimeoutError | OutOfTime):
        return warn("Not known: there was no answer in time.", _LESS_TO_DO)
    for types, status, advice in _BROKEN:
        if isinstance(error, types):
            return Finding(status, f"Not known: {plain(error)}", advice)
    return fail(f"Not known: {type(error).__name__}: {plain(error)}", "Look into the server's log; else report this.")


def plain(error: BaseException) -> str:
    """An error's own words, on one line, ended like a sentence."""
    text = " ".join((str(error) or type(error).__name__).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def worst(checks: list[Check]) -> Status:
    """How the whole came out."""
    found = {check.finding.status for check in checks}
    return next((status for status in _WORST_FIRST if status in found), Status.OK)


def table(checks: list[Check]) -> Table:
    """For people."""
    shown = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for column in ("status", "area", "check"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("found", overflow="fold")
    for check in checks:
        status, finding = check.finding.status, check.finding
        found = Text(finding.found)
        if finding.advice:
            found.append(f"\n→ {finding.advice}", style=_STYLES[status])
        shown.add_row(Text(status, style=_STYLES[status]), Text(check.area, style="dim"), Text(check.check), found)
    return shown


def document(checks: list[Check]) -> dict[str, Any]:
    """For programs."""
    rows = [{"area": c.area, "check": c.check, **asdict(c.finding)} for c in checks]
    return {"status": worst(checks), "checks": rows}
