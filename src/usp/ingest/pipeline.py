"""The table of contents of ingestion: what happens to one message, step by step."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

import structlog

from usp.ingest.batch import Batch, Item
from usp.ingest.bridges.bridge import Bridge
from usp.ingest.normalise import Normalised
from usp.ingest.refusal import Refusal, Refused, shown
from usp.ingest.registry import KnownDevice, Registry
from usp.models.reasons import Reason

log = structlog.get_logger()

#: Unknown fields counted from one item; a firmware that sends more than this sends noise.
UNMAPPED_PER_ITEM = 50


#: Items in one transaction: enough to make its fixed cost small, few enough to stay below a second.
BATCH_ITEMS = 5_000
#: Bytes of one message that are still decoded; our broker takes no more either (max_packet_size).
MAX_PAYLOAD = 2_000_000


class Message(Protocol):
    """What came through a door."""

    @property
    def topic(self) -> str:
        """Where it was published."""

    @property
    def payload(self) -> bytes:
        """What was published."""

    @property
    def received_at(self) -> datetime:
        """When it came."""


class Pipeline:
    """Turns messages into the contents of a batch, whatever was sent."""

    def __init__(self, bridges: Sequence[Bridge], registry: Registry) -> None:
        self._bridges = bridges
        self._registry = registry

    def next_batch(self, messages: Sequence[Message]) -> tuple[Batch, int]:
        """A batch of the first messages, and of how many. One that brings us to fall must not stop the others."""
        fatal: dict[int, str] = {}
        while True:
            batch = Batch()
            for number, message in enumerate(messages):
                if len(batch) >= BATCH_ITEMS:
                    return batch, number
                try:
                    if number in fatal:
                        raise Refused(Reason.INTERNAL_ERROR, fatal[number])
                    self.process(message, batch)
                except Refused as error:
                    self._reject_whole(message, error.refusal, batch)
                except Exception as error:
                    log.exception("internal_error", topic=message.topic)
                    fatal[number] = f"{type(error).__name__}: {error}."
                    break
            else:
                return batch, len(messages)

    def process(self, message: Message, batch: Batch) -> None:
        """One message: unwrap it into items, and let each become rows or a rejection. Raises Refused."""
        if len(message.payload) > MAX_PAYLOAD:
            raise Refused(Reason.TOO_LARGE, f"Got {len(message.payload):,} bytes.")
        bridge = self._bridge(message.topic)
        address, raw_items = bridge.unwrap(message.topic, message.payload)
        device = self._registry.find(address)
        batch.receive(bridge.door, device.kind if device else "", len(raw_items))
        alone = len(raw_items) == 1
        for raw in raw_items:
            item = _item(bridge.door, address, device, None if alone else raw, message)
            self._process_item(item, raw, device, batch)

    def _bridge(self, topic: str) -> Bridge:
        """The bridge that reads the topic; the first one also answers for topics that are nobody's."""
        return next((bridge for bridge in self._bridges if topic.startswith(bridge.prefix)), self._bridges[0])

    def _reject_whole(self, message: Message, refusal: Refusal, batch: Batch) -> None:
        bridge = self._bridge(message.topic)
        address = bridge.address(message.topic)
        item = _item(bridge.door, address, self._registry.find(address), None, message)
        batch.receive(bridge.door, item.kind, 1)
        batch.reject(item, refusal, whole_item=True)

    def _process_item(self, item: Item, raw: Any, device: KnownDevice | None, batch: Batch) -> None:
        """One item: find its device, normalise, add the rows."""
        try:
            rows, refused, unmapped = _normalised(item, raw, device)
        except Refused as error:
            batch.reject(item, error.refusal, whole_item=True)
            return
        for name in islice(unmapped, UNMAPPED_PER_ITEM):
            batch.count_unmapped(item.device, name, unmapped[name], item.received_at)
        if not rows:
            reason = refused[0] if refused else Refusal(Reason.NO_KNOWN_FIELD, _fields_hint(unmapped))
            batch.reject(item, reason, whole_item=True)
            return
        batch.add_item(item, rows)
        for refusal in refused:
            batch.reject(item, refusal, whole_item=False)


def _normalised(item: Item, raw: Any, device: KnownDevice | None) -> Normalised:
    if device is None:
        raise Refused(Reason.UNKNOWN_DEVICE, f"No device is called {shown(item.address)}.")
    if device.normaliser is None:
        raise Refused(Reason.NO_PROFILE, f"The device asks for {device.profile!r}.")
    if type(raw) is not dict:
        raise Refused(Reason.NOT_AN_OBJECT, f"Got {shown(raw)}.")
    result = device.normaliser(device.id, raw, item.received_at)
    if device.retired_at is not None and any(row[0] >= device.retired_at for _, row in result.rows):
        raise Refused(Reason.RETIRED_DEVICE, f"Retired at {device.retired_at.isoformat()}.")
    return result


def _item(door: str, address: str, device: KnownDevice | None, raw: Any, message: Message) -> Item:
    topic, payload, received_at = message.topic, message.payload, message.received_at
    if device is None:
        return Item(door, topic, address, "", None, raw, payload, received_at)
    return Item(door, topic, address, device.kind, device.id, raw, payload, received_at)


def _fields_hint(unmapped: dict[str, Any]) -> str:
    names = list(islice(unmapped, 5))
    return f"Got the fields {', '.join(map(shown, names))}." if names else "The item has no field but its time."
