"""Whether what a codec made of an example is what was published with it, and where it is not.

Numbers are compared as numbers (1 and 1.0 are equal, and so are floats that differ by less than 1 in 10⁹: vendors round
in different places), never with booleans. A field that is null may as well be missing: JSON knows no `undefined`. Two
texts that name the same moment are equal. Where errors are expected, the codec has to fail, in whatever words. Warnings
count where the example names them, and so does what `normalizeUplink` makes.
"""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from usp.ingest.codecs.codec import Codec, Decoded
from usp.ingest.codecs.examples import Example
from usp.ingest.codecs.runtime import CodecRuntime
from usp.ingest.refusal import Refusal

RELATIVE_TOLERANCE = 1e-9
#: Characters of a value in a report.
MAX_SHOWN = 200


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


class Difference(NamedTuple):
    """A place in the output, such as `data.history[2].time`."""

    path: str
    expected: Any
    found: Any


async def report(codec: Codec, examples: list[Example]) -> tuple[list[str], bool]:
    """Lines that say how many examples agree and where the others differ, and whether all agree."""
    runtime = CodecRuntime()
    try:
        found = await check(runtime, codec, examples)
    finally:
        await runtime.close()
    agreed = sum(not wrong for wrong in found)
    lines = [f"{agreed} of {len(examples)} examples agree."]
    for example, wrong in zip(examples, found, strict=True):
        if wrong:
            lines.append(f"{example.name} ({example.frame.payload.hex()} on port {example.frame.f_port})")
        lines += [
            f"  {d.path}: expected {_shown(d.expected)}, got {_shown(d.found)}".replace("  : ", "  ") for d in wrong
        ]
    return lines, agreed == len(examples)


def _shown(value: Any) -> str:
    if isinstance(value, Refusal):
        return f"{value.reason}: {value.detail}"
    text = repr(value) if value is MISSING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


async def check(runtime: CodecRuntime, codec: Codec, examples: list[Example]) -> list[list[Difference]]:
    """For each example its differences; none where they agree."""
    results = await runtime.decode(codec, [example.frame for example in examples])
    return [list(differences(e, result)) for e, result in zip(examples, results, strict=True)]


def differences(example: Example, result: Decoded | Refusal) -> Iterator[Difference]:
    """Where the result is not what the example says."""
    expect = example.expect
    if isinstance(result, Refusal):
        if not expect.get("errors"):
            yield Difference("", expect.get("data"), result)
        return
    if expect.get("errors"):
        yield Difference("errors", expect["errors"], MISSING)
        return
    yield from _compare("data", expect.get("data"), result.data)
    if expect.get("warnings"):
        yield from _compare("warnings", expect["warnings"], [*result.warnings])
    if "normalized" in expect:
        yield from _compare("normalized", _listed(expect["normalized"]), _listed(result.normalized))


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _compare(path: str, expected: Any, found: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(found, dict):
        names = {str(name): value for name, value in expected.items()}
        for name in [*names, *(name for name in found if name not in names)]:
            yield from _compare(f"{path}.{name}", names.get(name, MISSING), found.get(name, MISSING))
    elif isinstance(expected, list) and isinstance(found, list):
        for number in range(max(len(expected), len(found))):
            yield from _compare(f"{path}[{number}]", _item(expected, number), _item(found, number))
    elif not _equal(expected, found):
        yield Difference(path, expected, found)


def _item(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else MISSING


def _equal(expected: Any, found: Any) -> bool:
    nothing = [value is None or value is MISSING for value in (expected, found)]
    if any(nothing):
        return all(nothing)
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    if isinstance(expected, str) and isinstance(found, str):
        return expected == found or (_moment(expected) is not None and _moment(expected) == _moment(found))
    return False


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if len(text) >= len("2024-01-01") else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
