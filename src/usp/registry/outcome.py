"""What is to be brought in, and what becomes of it, row by row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from usp.errors import RegistryError
from usp.models.device import Mistake


@dataclass(frozen=True)
class Record:
    """A row of a file: the columns that have a value. None, or an empty text, takes out what is there."""

    where: str
    values: dict[str, Any]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def name(self) -> str:
        """The name of the device or site, as far as there is one."""
        return str(self.values.get("name", ""))


class Label(StrEnum):
    """What can become of a row; more than one may hold."""

    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    SWAPPED = "swapped"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class Change(NamedTuple):
    """A column with another value than before."""

    column: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.column}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass
class Outcome:
    """What became of a row, or would."""

    where: str
    name: str
    labels: list[Label] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether nothing can be written because of this row."""
        return bool(self.mistakes)

    @property
    def what(self) -> str:
        """Its labels in one word or a few."""
        return ", ".join(self.labels)

    @property
    def detail(self) -> str:
        """What changes, or what is wrong and would be right."""
        if self.mistakes:
            return " ".join(f"{m.column}: {m.text}" for m in self.mistakes)
        return "; ".join(map(str, self.changes))

    def add(self, label: Label) -> None:
        """Let a label hold."""
        if label not in self.labels:
            self.labels.append(label)

    def change(self, label: Label, changes: list[Change]) -> None:
        """Let columns change; of a new device they are no changes."""
        if Label.ADDED not in self.labels:
            self.changes += changes
            self.add(label)

    def refuse(self, column: str, text: str) -> None:
        """Take note of a mistake."""
        self.mistakes.append(Mistake(column, text))

    def settle(self) -> None:
        """Nothing more comes."""
        if self.mistakes:
            self.labels = [Label.REFUSED]
        elif not self.labels:
            self.labels = [Label.UNCHANGED]


@dataclass(frozen=True)
class Changes:
    """How many rows did what; a row that was changed and has moved counts for both."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    swapped: int = 0
    unchanged: int = 0
    refused: int = 0


@dataclass
class Report:
    """All rows of a list, in its order. Where one is refused, nothing has been written."""

    outcomes: list[Outcome]

    @property
    def changes(self) -> Changes:
        """The totals."""
        counts = Counter(label for outcome in self.outcomes for label in outcome.labels)
        return Changes(**{label.value: counts[label] for label in Label})

    @property
    def refused(self) -> list[Outcome]:
        """The rows that are wrong."""
        return [outcome for outcome in self.outcomes if outcome.is_refused]

    def require(self) -> "Report":
        """The same, if nothing was refused. Raises RegistryError."""
        if self.refused:
            raise RegistryError(" ".join(_sentence(o, m) for o in self.refused for m in o.mistakes))
        return self


def outcomes_of(records: Sequence[Record]) -> list[Outcome]:
    """An outcome for each record, with the mistakes that are known; a second row of one name is one."""
    seen: dict[str, str] = {}
    outcomes = []
    for record in records:
        outcome = Outcome(record.where, record.name, mistakes=[*record.mistakes])
        if not record.name and not any(m.column == "name" for m in outcome.mistakes):
            outcome.refuse("name", "name is missing.")
        elif record.name in seen:
            outcome.refuse("name", f"{seen[record.name]} is about {record.name} as well; one of them has to go.")
        seen.setdefault(record.name, record.where)
        outcomes.append(outcome)
    return outcomes


def right_ones(records: Sequence[Record], outcomes: Sequence[Outcome]) -> Iterator[tuple[Record, Outcome]]:
    """The rows in which nothing is wrong so far."""
    return ((r, o) for r, o in zip(records, outcomes, strict=True) if not o.is_refused)


def _sentence(outcome: Outcome, mistake: Mistake) -> str:
    # The identifier's own mistake names it already.
    parts = [outcome.where, "" if mistake.column == "name" else outcome.name, mistake.text]
    return ": ".join(filter(None, parts))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, StrEnum) else repr(value) if " " in str(value) else str(value)
