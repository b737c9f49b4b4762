"""Cayenne Low Power Payload: fields such as `temperature_1`, named as The Things Stack's own formatter names them.

A payload is a row of records: a channel, a type (the number of an IPSO object less 3,200), and the type's bytes. The
types that The Things Stack does not know are those that CayenneLPP libraries for Arduino send besides.
"""

from typing import Any, NamedTuple

from usp.ingest.codecs.codec import Decoded, Frame
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason


class _Type(NamedTuple):
    """Bytes and divisor of each part; the parts' names, where there are several."""

    name: str
    size: int
    divisors: tuple[int, ...]
    signed: bool = False
    parts: tuple[str, ...] = ()


_XYZ = ("x", "y", "z")
TYPES: dict[int, _Type] = {
    0: _Type("digital_in", 1, (1,)),
    1: _Type("digital_out", 1, (1,)),
    2: _Type("analog_in", 2, (100,), signed=True),
    3: _Type("analog_out", 2, (100,), signed=True),
    100: _Type("generic", 4, (1,)),
    101: _Type("luminosity", 2, (1,)),
    102: _Type("presence", 1, (1,)),
    103: _Type("temperature", 2, (10,), signed=True),
    104: _Type("relative_humidity", 1, (2,)),
    113: _Type("accelerometer", 2, (1000, 1000, 1000), signed=True, parts=_XYZ),
    115: _Type("barometric_pressure", 2, (10,)),
    116: _Type("voltage", 2, (100,)),
    117: _Type("current", 2, (1000,)),
    118: _Type("frequency", 4, (1,)),
    120: _Type("percentage", 1, (1,)),
    121: _Type("altitude", 2, (1,), signed=True),
    122: _Type("load", 3, (1000,), signed=True),
    125: _Type("concentration", 2, (1,)),
    128: _Type("power", 2, (1,)),
    130: _Type("distance", 4, (1000,)),
    131: _Type("energy", 4, (1000,)),
    132: _Type("direction", 2, (1,)),
    133: _Type("time", 4, (1,)),
    134: _Type("gyrometer", 2, (100, 100, 100), signed=True, parts=_XYZ),
    135: _Type("colour", 1, (1, 1, 1), parts=("r", "g", "b")),
    136: _Type("gps", 3, (10_000, 10_000, 100), signed=True, parts=("latitude", "longitude", "altitude")),
    142: _Type("switch", 1, (1,)),
}


def decode(frame: Frame) -> Decoded | Refusal:
    """The fields of a payload. After a type that is unknown nobody can tell where the next record begins."""
    payload = frame.payload
    data: dict[str, Any] = {}
    at = 0
    while at < len(payload):
        head = payload[at : at + 2]
        kind = TYPES.get(head[1]) if len(head) == 2 else None
        if kind is None:
            what = f"type {head[1]}, which is unknown" if len(head) == 2 else "no type"
            return Refusal(Reason.CODEC_FAILED, f"The record at byte {at} has {what}.")
        at += 2
        values = []
        for divisor in kind.divisors:
            raw = payload[at : at + kind.size]
            if len(raw) < kind.size:
                return Refusal(Reason.CODEC_FAILED, f"The payload ends within the {kind.name} of channel {head[0]}.")
            number = int.from_bytes(raw, "big", signed=kind.signed)
            values.append(number if divisor == 1 else number / divisor)
            at += kind.size
        data[f"{kind.name}_{head[0]}"] = dict(zip(kind.parts, values, strict=True)) if kind.parts else values[0]
    return Decoded(data)
