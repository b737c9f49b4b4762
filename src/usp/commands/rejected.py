"""One rejection, told in full: what it was, why it was refused, and its very bytes."""

from collections.abc import Iterator
from typing import Any

from usp.api import rejections
from usp.commands.console import plain

_WIDTH = 16


async def told(connection: Any, number: int) -> list[str]:
    """Everything about a rejection, line by line. Raises NotFound."""
    record = await rejections.one(connection, number)
    return [*_facts(record), "", *_item(record)]


def _facts(record: Any) -> Iterator[str]:
    yield f"{record['id']}  {record['reason']}"
    yield f"  {rejections.explanation(record['reason'])}"
    if record["detail"]:
        yield f"  {plain(record['detail'])}"
    yield ""
    replayed, resolved = record["replayed_at"], record["resolved_at"]
    facts = {
        "received": record["received_at"].isoformat(),
        "door": record["door"],
        "topic": plain(record["topic"]),
        "address": plain(record["address"]),
        "device": record["device"] or "none that is registered",
        "dataset": record["dataset"],
        "field": plain(record["field"]),
        "refused": "the whole item" if record["whole_item"] else "this value; the rest of the item was stored",
        "replayed": "never" if replayed is None else f"last at {replayed.isoformat()}",
        "resolved": "no, it waits" if resolved is None else f"at {resolved.isoformat()}",
    }
    for name, fact in facts.items():
        if fact:
            yield f"{name:<9} {fact}"


def _item(record: Any) -> Iterator[str]:
    payload, length = record["payload"], record["payload_length"]
    if payload is None:
        yield f"item: {length:,} bytes, too large to be kept; SHA-256 {record['payload_sha256'].hex()}"
        return
    text = rejections.pretty(payload)
    yield f"item: {length:,} bytes{', JSON' if text is not None else ''}"
    yield from map(plain, text.splitlines()) if text is not None else dumped(payload)


def dumped(payload: bytes) -> Iterator[str]:
    """Bytes in hexadecimal, and as ASCII where they are."""
    for start in range(0, len(payload), _WIDTH):
        row = payload[start : start + _WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<{_WIDTH * 3 - 1}}  {text}"
