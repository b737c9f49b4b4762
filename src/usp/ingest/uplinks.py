"""Steps of an uplink's way: its bytes are decoded, and its radio data become rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from usp.errors import CodecError
from usp.ingest.bridges.bridge import Uplink
from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame
from usp.ingest.normalise import Normalised, Row
from usp.ingest.refusal import Refusal, Refused
from usp.ingest.registry import KnownDevice
from usp.models.reasons import Reason


class Opened(NamedTuple):
    """An uplink, and what its device's codec says of its bytes."""

    uplink: Uplink
    decoded: Decoded | Refusal | None


async def decode(runtime: CodecRuntime, codec: Codec, numbers: Sequence[int], opened: dict[int, Opened]) -> None:
    """Let a codec decode the numbered uplinks, and put its answers beside them."""
    uplinks = [opened[number].uplink for number in numbers]
    frames = [Frame(u.payload or b"", u.port, u.time, u.variables) for u in uplinks]
    results: Sequence[Decoded | Refusal]
    try:
        results = await runtime.decode(codec, frames)
    except CodecError as error:
        # Without a child process no codec runs; what needs none goes on.
        results = [Refusal(Reason.CODEC_FAILED, str(error))] * len(frames)
    for number, uplink, result in zip(numbers, uplinks, results, strict=True):
        opened[number] = Opened(uplink, result)


def radio_data(uplink: Uplink, device: KnownDevice | None, received_at: datetime) -> Normalised:
    """What the network server tells of battery and radio, as rows of device_health."""
    if device is None or device.normaliser is None or not uplink.health:
        return Normalised([], [], {})
    if device.retired_at is not None and uplink.time >= device.retired_at:
        return Normalised([], [], {})
    values = {f"device_health.{name}": value for name, value in uplink.health.items()}
    return device.normaliser(device.id, values, received_at, (uplink.time, uplink.flags))


def merged(health: list[tuple[str, Row]], rows: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """Put radio data into the row that the payload's own battery makes; returns what found no such row."""
    for dataset, row in rows:
        if health and dataset == health[0][0] and row[:2] == health[0][1][:2]:
            extra = health[0][1]
            for column, value in enumerate(extra[2:-4], 2):
                if row[column] is None:
                    row[column] = value
            row[-4] |= extra[-4] & ~row[-1]
            row[-1] |= extra[-1]
            return []
    return health


def fields_of(uplink: Uplink, decoded: Decoded | Refusal | None, device: KnownDevice) -> Any:
    """The reading's fields, from the network server or from our codec. Raises Refused where there are none."""
    if uplink.fields is not None:
        return uplink.fields
    if isinstance(decoded, Refusal):
        raise Refused(*decoded[:3])
    if device.normaliser is None:
        raise Refused(Reason.NO_PROFILE, f"The device asks for {device.profile!r}.")
    if decoded is None:
        sent = (uplink.payload or b"").hex()[:80]
        raise Refused(Reason.NO_CODEC, f"Got {sent} on port {uplink.port}; the profile is {device.profile!r}.")
    return decoded.data
