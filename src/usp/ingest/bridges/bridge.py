"""What every door has in common."""

from collections.abc import Sequence
from typing import Any, Protocol


class Bridge(Protocol):
    """A door: which topics it reads, and how a message there becomes items."""

    @property
    def door(self) -> str:
        """The door's name in counts and rejections."""

    @property
    def prefix(self) -> str:
        """How all its topics begin."""

    @property
    def subscriptions(self) -> Sequence[str]:
        """The MQTT topic filters whose messages it understands."""

    def address(self, topic: str) -> str:
        """Who speaks there, as far as the topic tells; for messages that cannot be unwrapped."""

    def unwrap(self, topic: str, payload: bytes) -> tuple[str, list[Any]]:
        """(address of the sender, items). Raises Refused where the message cannot be split."""
