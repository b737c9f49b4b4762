"""One file for each door; a bridge turns a message's bytes into items and knows who speaks."""

from collections.abc import Sequence
from typing import Any, Protocol


class Bridge(Protocol):
    """A door: which topics it reads, and how a message there becomes items."""

    door: str
    subscriptions: Sequence[str]

    def unwrap(self, topic: str, payload: bytes) -> tuple[str, list[Any]]:
        """(address of the sender, items). Raises Refused where the message cannot be split."""
