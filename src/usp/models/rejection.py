"""Rejections: which of them are meant, and how far a replay of them has come."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Whether a rejection still waits."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


_STATES = {State.OPEN: "resolved_at IS NULL", State.RESOLVED: "resolved_at IS NOT NULL"}


@dataclass(frozen=True, kw_only=True)
class RejectionFilter:
    """Everything that is None matches all. Times are when the item came: since ≤ t < until."""

    ids: tuple[int, ...] | None = None
    reason: str | None = None
    address: str | None = None
    device: str | None = None
    door: str | None = None
    field: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: State = State.ALL

    def condition(self, device: str = "device = (SELECT id FROM usp.device WHERE name = {})") -> tuple[str, list[Any]]:
        """A condition over `usp.rejection`, with the values of its parameters; `device` compares a device's name."""
        parts = {
            "id = ANY({})": self.ids,
            "reason = {}": self.reason,
            "address = {}": self.address,
            device: self.device,
            "door = {}": self.door,
            "field = {}": self.field,
            "received_at >= {}": self.since,
            "received_at < {}": self.until,
        }
        given = [(text, value) for text, value in parts.items() if value is not None]
        conditions = [text.format(f"${number}") for number, (text, _) in enumerate(given, 1)]
        if self.state in _STATES:
            conditions.append(_STATES[self.state])
        return " AND ".join(conditions) or "true", [value for _, value in given]


@dataclass
class Progress:
    """How far a replay has come.

    `chosen` can be taken up; `without_bytes` match as well, but only their length and digest were kept. `refused`
    counts those that stay, by today's reason.
    """

    chosen: int
    without_bytes: int = 0
    taken: int = 0
    resolved: int = 0
    refused: Counter[str] = field(default_factory=Counter)
