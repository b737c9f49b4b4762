"""The table of contents of ingestion: what happens to one message, step by step."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from usp.ingest.batch import Batch, CountKey, Item
from usp.ingest.bridges.bridge import Bridge
from usp.ingest.refusal import Refusal, Refused, shown
from usp.ingest.registry import KnownDevice, Registry
from usp.models.reasons import Reason

#: Unknown fields counted from one item; a firmware that sends more than this sends noise.
UNMAPPED_PER_ITEM = 50


class Pipeline:
    """Turns messages into the contents of a batch. Never raises for anything that was sent."""

    def __init__(self, bridges: Sequence[Bridge], registry: Registry) -> None:
        self._bridges = bridges
        self._registry = registry

    def process(self, topic: str, payload: bytes, received_at: datetime, batch: Batch) -> None:
        """One message: unwrap it into items, and let each become rows or a rejection."""
        bridge = next(bridge for bridge in self._bridges if topic.startswith(bridge.prefix))
        try:
            address, raw_items = bridge.unwrap(topic, payload)
        except Refused as refused:
            address = bridge.address(topic)
            device = self._registry.find(address)
            item = _item(bridge.door, topic, address, device, payload, received_at)
            batch.counts[CountKey(bridge.door, item.kind, "", "received", "")] += 1
            batch.reject(item, refused.refusal, whole_item=True)
            return
        device = self._registry.find(address)
        kind = device.kind if device else ""
        batch.counts[CountKey(bridge.door, kind, "", "received", "")] += len(raw_items)
        for raw in raw_items:
            self._process_item(_item(bridge.door, topic, address, device, raw, received_at), device, batch)

    def _process_item(self, item: Item, device: KnownDevice | None, batch: Batch) -> None:
        """One item: find its device, normalise, add the rows."""
        try:
            if device is None:
                raise Refused(Reason.UNKNOWN_DEVICE, f"No device is called {shown(item.address)}.")
            if device.normaliser is None:
                raise Refused(Reason.NO_PROFILE, f"The device asks for {device.profile!r}.")
            if type(item.raw) is not dict:
                raise Refused(Reason.NOT_AN_OBJECT, f"Got {shown(item.raw)}.")
            rows, refused, unmapped = device.normaliser(device.id, item.raw, item.received_at)
            if device.retired_at is not None and any(row[0] >= device.retired_at for _, row in rows):
                raise Refused(Reason.RETIRED_DEVICE, f"Retired at {device.retired_at.isoformat()}.")
        except Refused as error:
            batch.reject(item, error.refusal, whole_item=True)
            return
        if unmapped:
            for name in list(unmapped)[:UNMAPPED_PER_ITEM]:
                batch.count_unmapped(device.id, name, unmapped[name], item.received_at)
        if not rows:
            reason = refused[0] if refused else Refusal(Reason.NO_KNOWN_FIELD, _fields_hint(unmapped))
            batch.reject(item, reason, whole_item=True)
            return
        number = batch.add_item(item, len(rows))
        for dataset, row in rows:
            batch.add_row(dataset, row, number)
        for refusal in refused:
            batch.reject(item, refusal, whole_item=False)


def _item(door: str, topic: str, address: str, device: KnownDevice | None, raw: Any, received_at: datetime) -> Item:
    if device is None:
        return Item(door, topic, address, "", None, raw, received_at)
    return Item(door, topic, address, device.kind, device.id, raw, received_at)


def _fields_hint(unmapped: Sequence[str] | dict[str, Any]) -> str:
    names = list(unmapped)[:5]
    return f"Got the fields {', '.join(map(shown, names))}." if names else "The item has no field but its time."
