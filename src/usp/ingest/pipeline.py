"""The table of contents of ingestion: what happens to one message, step by step."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import structlog

from usp.ingest.batch import WHOLE, Batch, Item, Replay
from usp.ingest.bridges import bridge_of
from usp.ingest.bridges.bridge import Bridge, Event, Readings, Sender, Unwrapped, Uplink
from usp.ingest.codecs import Codec, CodecRuntime, Decoded
from usp.ingest.normalise import Normalised, without_old
from usp.ingest.refusal import Refusal, Refused, shown
from usp.ingest.registry import KnownDevice, Registry
from usp.ingest.retention import Horizon
from usp.ingest.times import FUTURE_TOLERANCE, Oldest, check_time
from usp.ingest.uplinks import Opened, decode, fields_of, merged, radio_data
from usp.models.reasons import Reason

log = structlog.get_logger()

#: Unknown fields counted from one item; a firmware that sends more than this sends noise.
UNMAPPED_PER_ITEM = 50

#: The door of what is taken up again.
REPLAY = "replay"
#: Items in one transaction: enough to make its fixed cost small, few enough to stay below a second.
BATCH_ITEMS = 5_000
#: Bytes of messages in one transaction: decoded, the worst of them take thirty times as much memory.
BATCH_BYTES = 4_000_000
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
        """When it came first."""

    @property
    def replay(self) -> Replay | None:
        """The rejection it is taken up from, if it is."""


class Pipeline:
    """Turns messages into the contents of a batch, whatever was sent."""

    def __init__(
        self, bridges: Sequence[Bridge], registry: Registry, codecs: CodecRuntime, horizon: Horizon | None = None
    ) -> None:
        self._bridges = bridges
        self._registry = registry
        self._codecs = codecs
        self._horizon = horizon
        self._oldest: Mapping[str, Oldest] = {}

    async def next_batch(self, messages: Sequence[Message]) -> tuple[Batch, int]:
        """A batch of the first messages, and of how many. One that brings us to fall must not stop the others."""
        messages = _bounded(messages)
        if self._horizon is not None:
            # By the clock and not by the arrival: what is replayed may have come when it was young.
            self._oldest = self._horizon.oldest(datetime.now(UTC))
        opened = await self._open_uplinks(messages)
        fatal: dict[int, str] = {}
        while True:
            batch = Batch()
            for number, message in enumerate(messages):
                if len(batch) >= BATCH_ITEMS:
                    return batch, number
                try:
                    if number in fatal:
                        raise Refused(Reason.INTERNAL_ERROR, fatal[number])
                    self.process(message, opened.get(number), batch)
                except Refused as error:
                    self._reject_whole(message, error.refusal, batch)
                except Exception as error:
                    log.exception("internal_error", topic=message.topic)
                    fatal[number] = f"{type(error).__name__}: {error}."
                    break
            else:
                return batch, len(messages)

    def process(self, message: Message, opened: Opened | None, batch: Batch) -> None:
        """One message: unwrap it, and let each item in it become rows or a rejection. Raises Refused."""
        bridge = bridge_of(message.topic, self._bridges)
        unwrapped = opened.uplink if opened is not None else _unwrap(bridge, message)
        if type(unwrapped) is Readings:
            self._process_readings(bridge.door, message, unwrapped, batch)
        elif type(unwrapped) is Uplink:
            self._process_uplink(bridge.door, message, unwrapped, opened and opened.decoded, batch)
        elif type(unwrapped) is Event:
            self._process_event(bridge.door, message, unwrapped, batch)

    def _reject_whole(self, message: Message, refusal: Refusal, batch: Batch) -> None:
        bridge = bridge_of(message.topic, self._bridges)
        sender = bridge.sender(message.topic)
        item = _item(bridge.door, sender, self._registry.find(sender), message)
        batch.receive(item.door, item.kind, 1)
        batch.reject(item, refusal, whole_item=True)

    # Uplinks of network servers: bytes are decoded before anything else, many at a time

    async def _open_uplinks(self, messages: Sequence[Message]) -> dict[int, Opened]:
        """Unwrap the uplinks among the messages, and decode those that need it. What fails here fails again later."""
        opened: dict[int, Opened] = {}
        waiting: dict[Codec, list[int]] = {}
        native = self._bridges[0].prefix
        for number, message in enumerate(messages):
            if message.topic.startswith(native):
                continue
            try:
                uplink = _unwrap(bridge_of(message.topic, self._bridges), message)
            except Exception:  # noqa: BLE001, S112 - `process` meets it again, and answers it
                continue
            if type(uplink) is not Uplink:
                continue
            opened[number] = Opened(uplink, None)
            device = self._registry.find(uplink.sender, uplink.time)
            if uplink.payload is not None and uplink.fields is None and device is not None and device.codec:
                waiting.setdefault(device.codec, []).append(number)
        await asyncio.gather(*(decode(self._codecs, codec, numbers, opened) for codec, numbers in waiting.items()))
        return opened

    def _process_uplink(
        self, door: str, message: Message, uplink: Uplink, decoded: Decoded | Refusal | None, batch: Batch
    ) -> None:
        device = self._registry.find(uplink.sender, uplink.time)
        item = _item(door, uplink.sender, device, message)
        batch.receive(item.door, item.kind, 1)
        try:
            check_time(uplink.time, message.received_at, uplink.time.isoformat())
            health = without_old(radio_data(uplink, device, message.received_at), uplink.time, self._oldest)
        except Refused as error:
            batch.reject(item, error.refusal, whole_item=True)
            return
        try:
            if uplink.refusal is not None:
                raise Refused(*uplink.refusal[:3])
            known = _known(device, uplink.sender)
            if uplink.fields is None and uplink.payload is None:
                self._add(item, health, batch)
                return
            fields = fields_of(uplink, decoded, known)
            result = self._normalised(known, fields, message.received_at, (uplink.time, uplink.flags))
        except Refused as error:
            batch.reject(item, error.refusal, whole_item=True)
        else:
            left = merged(health.rows, result.rows)
            self._add(item._replace(with_radio=len(left) < len(health.rows)), result, batch)
            health.rows[:] = left
        # However that went: radio data decide nothing.
        batch.add_rows(health.rows)

    def _process_event(self, door: str, message: Message, event: Event, batch: Batch) -> None:
        device = self._registry.find(event.sender, event.restarted_at)
        if message.replay is not None:
            door = REPLAY
            batch.understood.append(message.replay.rejection)
        batch.count_event(door, device.kind if device else "", event.kind)
        restarted = event.restarted_at
        if device is not None and restarted is not None and restarted - message.received_at <= FUTURE_TOLERANCE:
            batch.restart(device.id, restarted)

    # Items

    def _process_readings(self, door: str, message: Message, readings: Readings, batch: Batch) -> None:
        sender, raw_items = readings
        device = self._registry.find(sender, message.received_at)
        alone = len(raw_items) == 1
        first = _item(door, sender, device, message)
        batch.receive(first.door, first.kind, len(raw_items))
        for raw in raw_items:
            item = first if alone else first._replace(raw=raw)
            try:
                result = self._normalised(_known(device, sender), raw, message.received_at)
            except Refused as error:
                batch.reject(item, error.refusal, whole_item=True)
            else:
                self._add(item, result, batch)

    def _normalised(
        self, device: KnownDevice, raw: Any, received_at: datetime, at: tuple[datetime, int] | None = None
    ) -> Normalised:
        """Rows of the device and of its parts. Raises Refused where no part of the item can be stored."""
        if device.normaliser is None:
            raise Refused(Reason.NO_PROFILE, f"The device asks for {device.profile!r}.")
        if type(raw) is not dict:
            raise Refused(Reason.NOT_AN_OBJECT, f"Got {shown(raw)}.")
        parts: list[tuple[str, dict[str, Any]]] = []
        if device.normaliser.has_children:
            at = at and device.normaliser.measured(raw, received_at, at)
            raw, parts = device.normaliser.split(raw)
        result = device.normaliser(device.id, raw, received_at, at, self._oldest)
        for name, part in parts:
            self._add_part(device, name, part, received_at, at, result)
        if device.retired_at is not None and any(row[0] >= device.retired_at for _, row in result.rows):
            raise Refused(Reason.RETIRED_DEVICE, f"Retired at {device.retired_at.isoformat()}.")
        return result

    def _add_part(
        self,
        device: KnownDevice,
        name: str,
        part: Mapping[str, Any],
        received_at: datetime,
        at: tuple[datetime, int] | None,
        result: Normalised,
    ) -> None:
        """Take in the rows of a lane, a connector, a flat; what is refused there is refused beside the rest."""
        child = self._registry.child(device, name)
        try:
            if child is None:
                wanted = f"{device.name}-{name}"
                raise Refused(Reason.UNKNOWN_DEVICE, f"Register {wanted!r} with {device.name!r} as its parent.", name)
            rows, refused, unmapped = self._normalised(child, part, received_at, at)
        except Refused as error:
            result.refused.append(error.refusal)
            return
        result.rows.extend(rows)
        result.refused.extend(refusal._replace(field=f"{name}: {refusal.field}") for refusal in refused)
        result.unmapped.update((f"{name}: {field}", value) for field, value in unmapped.items())

    @staticmethod
    def _add(item: Item, result: Normalised, batch: Batch) -> None:
        """Add the rows of an item, or reject it where there are none."""
        rows, refused, unmapped = result
        # What is taken up was counted when it came, unless nobody knew then what it is.
        known = item.replay is not None and (not rows or item.replay.field is not None)
        for name in () if known else islice(unmapped, UNMAPPED_PER_ITEM):
            batch.count_unmapped(item.device, name, unmapped[name], item.received_at)
        if not rows:
            reason = refused[0] if refused else Refusal(Reason.NO_KNOWN_FIELD, _fields_hint(unmapped))
            batch.reject(item, reason, whole_item=True)
            return
        batch.add_item(item, rows)
        for refusal in refused:
            batch.reject(item, refusal, whole_item=False)


def _bounded(messages: Sequence[Message]) -> Sequence[Message]:
    """The first messages that together are small enough; at least one."""
    size = 0
    for number, message in enumerate(messages):
        size += len(message.payload)
        if size > BATCH_BYTES:
            return messages[: max(1, number)]
    return messages


def _unwrap(bridge: Bridge, message: Message) -> Unwrapped:
    if len(message.payload) > MAX_PAYLOAD:
        raise Refused(Reason.TOO_LARGE, f"Got {len(message.payload):,} bytes.")
    return bridge.unwrap(message.topic, message.payload)


def _known(device: KnownDevice | None, sender: Sender) -> KnownDevice:
    if device is None:
        network = f" in the network {sender.network!r}" if sender.network else ""
        raise Refused(Reason.UNKNOWN_DEVICE, f"No device is called {shown(sender.address)}{network}.")
    return device


def _item(door: str, sender: Sender, device: KnownDevice | None, message: Message) -> Item:
    topic, payload, received_at, replay = message.topic, message.payload, message.received_at, message.replay
    if replay is not None:
        door = REPLAY
        if replay.field and device is not None and device.normaliser is not None:
            replay = replay._replace(means=device.normaliser.meaning_of(replay.field))
    if device is None:
        return Item(door, topic, sender.address, "", None, WHOLE, payload, received_at, replay)
    return Item(door, topic, sender.address, device.kind, device.id, WHOLE, payload, received_at, replay)


def _fields_hint(unmapped: Mapping[str, Any]) -> str:
    names = list(islice(unmapped, 5))
    return f"Got the fields {', '.join(map(shown, names))}." if names else "The item has no field but its time."
