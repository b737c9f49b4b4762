"""Which rejections are meant: by reason, sender, door, time or number."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


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

    def condition(self) -> tuple[str, list[Any]]:
        """A condition over `usp.rejection`, with the values of its parameters."""
        parts = {
            "id = ANY({})": self.ids,
            "reason = {}": self.reason,
            "address = {}": self.address,
            "device = (SELECT id FROM usp.device WHERE name = {})": self.device,
            "door = {}": self.door,
            "field = {}": self.field,
            "received_at >= {}": self.since,
            "received_at < {}": self.until,
        }
        given = [(text, value) for text, value in parts.items() if value is not None]
        conditions = [text.format(f"${number}") for number, (text, _) in enumerate(given, 1)]
        return " AND ".join(conditions) or "true", [value for _, value in given]
