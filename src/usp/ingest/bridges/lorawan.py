"""What the messages of both network servers have in common: devEUI, clocks, gateways, frames.

Anything in a message may be missing or of another type than documented; these functions take it as it is. Both servers
leave out what is 0, false or empty (Protocol Buffers' JSON mapping), so what is absent is that.
"""

import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from usp.ingest.refusal import Refusal, Refused, shown
from usp.models.reasons import Reason

_EUI = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SEPARATORS = str.maketrans("", "", "-: ")
_DURATION = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?s", re.ASCII)

GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
#: How far GPS time is ahead of UTC since 2017-01-01. No leap second has been announced since (IERS Bulletin C).
GPS_LEAP = timedelta(seconds=18)
#: A gateway that had no connection sends later what it heard; a clock that is further behind is not set.
BACKLOG = timedelta(days=1)
#: What a good gateway clock may be ahead of the network server's.
AHEAD = timedelta(minutes=1)
#: Gateways hear one frame at the same moment; clocks that differ by more do not tell the same time.
SAME_MOMENT = timedelta(seconds=1)

#: Larger numbers are no signal strength, and would not fit the column.
_LARGEST = 1e30
_COUNTERS = 1 << 32
#: LoRaWAN 1.0.4, 4.3.2: 1 to 223 are the application's; what is above belongs to test and relay protocols.
_LAST_APPLICATION_PORT = 223
_LONGEST_TEXT = 200
_MOST_TAGS = 50


def dev_eui(text: str) -> str | None:
    """A devEUI as we write it: 16 lower-case hexadecimal digits; None where the text is none.

    It may come in any case, and with `-`, `:` or spaces between the digits, as it is printed on devices.
    """
    if _EUI.fullmatch(text):
        return text
    text = text[:100].lower()
    if len(text) != 16:
        text = text.translate(_SEPARATORS).strip()
    return text if _EUI.fullmatch(text) else None


def check_address(topic: str, message: str) -> None:
    """Refuse a message that names another device than its topic: a broker lets people publish by topic."""
    if topic != message:
        raise Refused(Reason.ADDRESS_MISMATCH, f"The topic says {shown(topic)}, the message {shown(message)}.")


def decoded(payload: bytes) -> dict[str, Any]:
    """The message as an object. Raises Refused."""
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        # Protobuf begins with the tag of field 1 (0x0a), here a UUID of 36 characters or a time.
        if payload[:1] == b"\n" and payload.lstrip()[:1] not in (b"{", b"["):
            detail = "This looks like Protobuf; set json=true in [integration.mqtt] of ChirpStack."
            raise Refused(Reason.NOT_JSON, detail) from None
        raise Refused(Reason.NOT_JSON, f"{error}.") from None
    if type(message) is not dict:
        raise Refused(Reason.NOT_AN_OBJECT, f"Got {shown(message)}.")
    return message


def part(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object of that name; empty where there is none."""
    found = message.get(name)
    return found if type(found) is dict else {}


# Clocks


def timestamp(value: Any) -> datetime | None:
    """RFC 3339 with an offset, as a moment in UTC. Digits beyond microseconds are cut off, never rounded."""
    if type(value) is not str:
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is UTC:
            return time
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def gps_timestamp(value: Any) -> datetime | None:
    """A time since the GPS epoch (`"1342259955.775023242s"`) as a moment in UTC, cut to microseconds."""
    match = _DURATION.fullmatch(value) if type(value) is str else None
    if match is None:
        return None
    seconds, fraction = match.groups("")
    elapsed = timedelta(seconds=int(seconds), microseconds=int(fraction[:6].ljust(6, "0")))
    return GPS_EPOCH + elapsed - GPS_LEAP


def is_possible(clock: datetime, server: datetime) -> bool:
    """Whether a gateway's clock can be right, by the server's."""
    return -BACKLOG <= clock - server <= AHEAD


def gateway_time(clocks: Sequence[datetime], server: datetime | None) -> datetime | None:
    """When the gateways heard the frame; None where none of their clocks can be right.

    A receiver without a fix, or past a roll-over of its week counter (GPS has 10 bits for it), is years off, nearly
    always behind. So of the clocks that can be right the one nearest to the server's is believed; without that, the
    latest. Of those that tell the same moment the earliest is taken: the order of gateways in a message is chance.
    """
    known = server or max(clocks, default=None)
    possible = [clock for clock in clocks if known is not None and is_possible(clock, known)]
    if known is None or not possible:
        return None
    nearest = min(possible, key=lambda clock: abs(clock - known))
    return min(clock for clock in possible if abs(nearest - clock) <= SAME_MOMENT)


# Gateways


def receptions(value: Any) -> list[dict[str, Any]]:
    """What the gateways tell of one frame, without those that received it damaged."""
    if type(value) is not list:
        return []
    return [each for each in value if type(each) is dict and each.get("crcStatus") != "BAD_CRC"]


def number(value: Any) -> float | None:
    """A number; 0 where it was left out, None where something else stands there."""
    if value is None:
        return 0.0
    kind = type(value)
    if (kind is float or kind is int) and -_LARGEST < value < _LARGEST:
        return float(value)
    return None


def radio(heard: Iterable[Mapping[str, Any]], *, has_snr: bool) -> dict[str, float]:
    """The rssi (dBm) and snr (dB) of the gateway that heard the frame best: highest snr, then highest rssi.

    Only LoRa has a signal-to-noise ratio; a frame in FSK or LR-FHSS has none, which is not the same as 0.
    """
    best: tuple[float, float] | None = None
    for each in heard:
        rssi, snr = number(each.get("rssi")), number(each.get("snr"))
        if rssi is None or snr is None:
            continue
        quality = (snr if has_snr else 0.0, rssi)
        if best is None or quality > best:
            best = quality
    if best is None:
        return {}
    return {"rssi": best[1], "snr": best[0]} if has_snr else {"rssi": best[1]}


def frame_counter(value: Any) -> float | None:
    """The frame counter, 32 bits wide; 0 where it was left out: the first frame after a join."""
    if value is None:
        return 0.0
    return float(value) if type(value) is int and 0 <= value < _COUNTERS else None


# Frames


class Frame(NamedTuple):
    """What a device said: fields, or bytes on a port; nothing where it only answered the network."""

    fields: dict[str, Any] | None = None
    payload: bytes | None = None
    port: int | None = None
    refusal: Refusal | None = None


_NOTHING = Frame()


def frame(port: Any, data: Any, fields: Any, *, encrypted: bool) -> Frame:
    """The content of an uplink: its FPort, its payload in Base64, and what the network server decoded of it.

    LoRaWAN 1.0.4, 4.3.2: without FPort there is no payload, and on port 0 it is MAC commands, which no codec
    understands. ChirpStack runs codecs on such frames all the same, with no bytes; what comes out of that is no
    reading. An empty payload on an application port is passed on: to some devices the frame itself is the message.
    """
    port = 0 if port is None else port
    is_decoded = type(fields) is dict and bool(fields)
    if port == 0 and not (data and is_decoded):
        return _NOTHING
    if encrypted and (data or is_decoded):
        return Frame(refusal=Refusal(Reason.END_TO_END_ENCRYPTED))
    is_port = type(port) is int and 0 <= port <= 255
    if is_decoded:
        return Frame(fields, None, port if is_port else None)
    if not is_port:
        return Frame(refusal=Refusal(Reason.BAD_FRAME, f"Got the port {shown(port)}.", "port"))
    return _payload(port, data)


def _payload(port: int, data: Any) -> Frame:
    if not data:
        return Frame(None, b"", port) if port <= _LAST_APPLICATION_PORT else _NOTHING
    try:
        # Strict: without it, a text that is something else would give bytes as well.
        return Frame(None, binascii.a2b_base64(data, strict_mode=True), port)
    except (ValueError, TypeError):
        return Frame(port=port, refusal=Refusal(Reason.BAD_FRAME, f"Got the payload {shown(data)}.", "payload"))


# Names


def text(value: Any) -> str:
    """A name as it may be shown and stored; empty where there is none. PostgreSQL knows no NUL in a text."""
    if type(value) is not str:
        return ""
    return value[:_LONGEST_TEXT].replace("\0", "")


def tags(value: Any) -> dict[str, str]:
    """Key-value pairs that people have given a device."""
    if type(value) is not dict:
        return {}
    pairs = ((text(key), text(tag)) for key, tag in list(value.items())[:_MOST_TAGS] if type(tag) is str)
    return {key: tag for key, tag in pairs if key}
