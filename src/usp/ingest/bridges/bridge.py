"""What every door has in common: what a message there can be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from usp.ingest.refusal import Refusal

#: The network of devices that have a devEUI, whichever network server speaks for them.
LORAWAN = "lorawan"


class Sender(NamedTuple):
    """Who speaks. Without a network, the address is the name of a device in our own registry."""

    network: str
    address: str


class Readings(NamedTuple):
    """Items of a device that speaks for itself, each with its own time; the pipeline judges each by itself."""

    sender: Sender
    items: Sequence[Any]


class Uplink(NamedTuple):
    """One item that a network server passes on.

    `time` is the best time that the message itself knows and `flags` tells whose clock that is (`RowFlag`): the
    same uplink has the same time by whichever path it comes. `fields` is what the network server has decoded, and
    `payload` the bytes that a codec may decode where it has not; both are None where a device says nothing but that
    it is there. `health` holds values of `device_health` by property. `refusal` says why its reading may not be
    stored; its radio data may.
    """

    sender: Sender
    time: datetime
    flags: int
    fields: Mapping[str, Any] | None = None
    payload: bytes | None = None
    port: int | None = None
    variables: Mapping[str, str] = {}
    health: Mapping[str, float] = {}
    refusal: Refusal | None = None


class Event(NamedTuple):
    """Something the network tells about a device that is no reading, such as a join; counted by its kind."""

    sender: Sender
    kind: str
    #: When a join made the frame counter begin anew.
    restarted_at: datetime | None = None


class Label(NamedTuple):
    """What a network server calls a device, for people who have never seen it."""

    name: str = ""
    application: str = ""
    model: str = ""
    tags: Mapping[str, str] = {}


Unwrapped = Readings | Uplink | Event


class Bridge(Protocol):
    """A door: which topics it reads, and what a message there is."""

    @property
    def door(self) -> str:
        """The door's name in counts and rejections."""

    @property
    def prefix(self) -> str:
        """How all its topics begin."""

    @property
    def subscriptions(self) -> Sequence[str]:
        """The MQTT topic filters whose messages it understands."""

    def sender(self, topic: str) -> Sender:
        """Who speaks there, as far as the topic tells; for messages that cannot be unwrapped."""

    def unwrap(self, topic: str, payload: bytes) -> Unwrapped:
        """What the message is. Raises Refused where it cannot be understood at all."""

    def label(self, payload: bytes) -> Label:
        """What the network server calls the device; empty where it does not say."""
