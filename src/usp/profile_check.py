"""What a profile does with a payload or a message, told line by line for whoever writes it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from usp.ingest.bridges import bridge_of
from usp.ingest.bridges.bridge import Unwrapped, Uplink
from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame
from usp.ingest.normalise import Normalised, Normaliser, Row
from usp.ingest.refusal import Refusal, Refused, shown
from usp.models.dataset import RowFlag
from usp.models.datasets import DATASETS
from usp.models.device import native_fields
from usp.models.profile import DeviceProfile, FieldMap
from usp.models.profile_rules import near_property
from usp.models.reasons import EXPLANATIONS, Reason
from usp.profiles import DATA, SUFFIX, check_profile, load_codec

#: Fields of one unmapped object that are shown; a technician looks at them one after the other.
SHOWN_FIELDS = 50
_NETWORK = RowFlag.TIME_NETWORK.value

Time = tuple[datetime, int]


class Told(NamedTuple):
    """Lines to print, and whether all is as it should be."""

    lines: list[str]
    fine: bool


def check(
    file: Path,
    directory: Path | None,
    *,
    payload: str | None = None,
    port: int | None = None,
    message: Path | None = None,
) -> Told:
    """Everything there is to say of a profile, and of a payload or message under it.

    `directory` is the user's own folder of profiles; `file` may be the name of a profile that is there or shipped.
    """
    if not file.exists():
        file = next((path for path in _places(file.name, directory) if path.exists()), file)
    profile, mistakes = check_profile(file, directory)
    if profile is None:
        return Told([str(mistake) for mistake in mistakes], fine=False)
    codec = None if profile.codec is None else load_codec(profile, file.parent, directory)
    if codec is not None and (wrong := asyncio.run(_check_script(codec))):
        return Told([f"{codec.name}: {wrong}"], fine=False)
    told = Told([], fine=True)
    if payload is not None:
        try:
            told = asyncio.run(check_payload(profile, codec, _bytes(payload), port or 1))
        except ValueError:
            told = Told([f"The payload {payload!r} is no hex, such as 0100e20229."], fine=False)
    elif message is not None:
        try:
            text = message.read_bytes()
        except OSError as error:
            return Told([f"The message cannot be read: {message}: {error.strerror}."], fine=False)
        told = asyncio.run(check_message(profile, codec, text))
    return Told(["ok", *summary(profile), *told.lines], told.fine)


def _places(name: str, directory: Path | None) -> list[Path]:
    return [folder / f"{name}{SUFFIX}" for folder in (directory, DATA / "profiles") if folder is not None]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", " ").replace("-", " ").removeprefix("0x"))


def summary(profile: DeviceProfile) -> list[str]:
    """What a profile says, in few lines."""
    native = native_fields(profile.kind)
    facts = [
        f"codec {profile.codec}" if profile.codec else "",
        f"every {profile.interval:g} s" if profile.interval else "on change",
        f"time from {profile.time}" if profile.time else "",
    ]
    lines = [f"{profile.name}: {profile.title} ({profile.kind})", "  " + ", ".join(filter(None, facts))]
    for name, mapping in profile.fields.items():
        dataset, prop = native[mapping.property]
        unit = f" [{prop.unit}]" if prop.unit else ""
        lines.append(f"  {name} -> {dataset}.{prop.name}{unit}{_in_brackets(list(_steps(mapping)))}")
    lines += [f"  parts at {part.path or part.prefix} -> devices <name>-{part.name}" for part in profile.children]
    if not profile.fields:
        lines.append("  fields as they are called in docs/datasets.md")
    return lines


def _steps(mapping: FieldMap) -> Iterator[str]:
    """What is done to a field's value."""
    if mapping.missing:
        yield f"without {' and '.join(map(shown, mapping.missing))}"
    if mapping.parse:
        yield "read from text"
    if mapping.values:
        yield f"{len(mapping.values)} values translated"
    if mapping.scale != 1:
        yield f"times {mapping.scale:g}"
    if mapping.offset:
        yield f"plus {mapping.offset:g}"
    if mapping.unit:
        yield f"from {mapping.unit}"


async def check_payload(profile: DeviceProfile, codec: Codec | None, payload: bytes, port: int) -> Told:
    """What becomes of payload bytes that arrive now."""
    now = datetime.now(UTC)
    return await _check_bytes(profile, codec, Frame(payload, port, now), (now, _NETWORK))


async def check_message(profile: DeviceProfile, codec: Codec | None, text: bytes) -> Told:
    """What becomes of a message: one of a network server's, a native one, or decoded fields alone."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Told([f"The message is no JSON: {error}."], fine=False)
    topic = _topic(message)
    if topic is not None:
        bridge = bridge_of(topic)
        try:
            return await _check_unwrapped(profile, codec, bridge.unwrap(topic, text))
        except Refused as refused:
            return Told(_refusals([refused.refusal]), fine=False)
    items = message if isinstance(message, list) else [message]
    told = [_check_item(profile, item, datetime.now(UTC), None) for item in items]
    return Told([line for each in told for line in each.lines], all(each.fine for each in told))


async def _check_unwrapped(profile: DeviceProfile, codec: Codec | None, unwrapped: Unwrapped) -> Told:
    if not isinstance(unwrapped, Uplink) or (unwrapped.fields is None and unwrapped.payload is None):
        if isinstance(unwrapped, Uplink) and unwrapped.refusal is not None:
            raise Refused(*unwrapped.refusal[:3])
        return Told(["This message carries no reading."], fine=False)
    at = (unwrapped.time, unwrapped.flags)
    if unwrapped.fields is not None:
        return _check_item(profile, unwrapped.fields, unwrapped.time, at)
    frame = Frame(unwrapped.payload or b"", unwrapped.port or 0, unwrapped.time, unwrapped.variables)
    return await _check_bytes(profile, codec, frame, at)


def _topic(message: Any) -> str | None:
    """The topic that a network server's message came on; None for a message that is a reading itself."""
    if not isinstance(message, dict):
        return None
    ids, info = message.get("end_device_ids"), message.get("deviceInfo")
    if isinstance(ids, dict):
        application = ids.get("application_ids")
        name = application.get("application_id") if isinstance(application, dict) else None
        return f"v3/{name or 'application'}/devices/{ids.get('device_id') or 'device'}/up"
    if isinstance(info, dict):
        eui = info.get("devEui") or "0" * 16
        return f"application/{info.get('applicationId') or 'id'}/device/{eui}/event/up"
    return None


async def _check_script(codec: Codec) -> str:
    """What is wrong with a script before any payload comes; nothing where it can be read."""
    runtime = CodecRuntime()
    try:
        refusal = await asyncio.wait_for(runtime.check(codec), 30)
    finally:
        await runtime.close()
    return "" if refusal is None else refusal.detail


async def _check_bytes(profile: DeviceProfile, codec: Codec | None, frame: Frame, at: Time) -> Told:
    if codec is None:
        refusal = Refusal(Reason.NO_CODEC, f"Add `codec: {profile.name}.js` or `codec: cayenne_lpp`.", "codec")
        return Told(_refusals([refusal]), fine=False)
    runtime = CodecRuntime()
    try:
        # A large script may take longer to be read for the first time than a frame may take.
        (result,) = await asyncio.wait_for(runtime.decode(codec, [frame]), 30)
    finally:
        await runtime.close()
    if isinstance(result, Refusal):
        return Told(_refusals([result]), fine=False)
    told = _check_item(profile, result.data, at[0], at)
    return Told([*_decoded(result), *told.lines], told.fine)


def _decoded(result: Decoded) -> Iterator[str]:
    yield "decoded"
    for name, value in _leaves("", result.data):
        yield f"  {name} = {_as_json(value)}"
    for warning in result.warnings:
        yield f"  warning of the codec: {warning}"


def _check_item(profile: DeviceProfile, item: Any, received_at: datetime, at: Time | None) -> Told:
    if not isinstance(item, dict):
        return Told(_refusals([Refusal(Reason.NOT_AN_OBJECT, f"Got {shown(item)}.")]), fine=False)
    normaliser = Normaliser(profile)
    parts: list[tuple[str, dict[str, Any]]] = []
    fields: Mapping[str, Any] = item
    try:
        if normaliser.has_children:
            fields, parts = normaliser.split(item)
        result = normaliser(0, fields, received_at, at)
    except Refused as refused:
        return Told(_refusals([refused.refusal]), fine=False)
    lines = [line for dataset, row in result.rows for line in _stored(dataset, row)]
    for name, part in parts:
        lines.append(f"part <name>-{name}, which has a profile of its own")
        lines += [f"  {key} = {_as_json(value)}" for key, value in _leaves("", part)]
    if not result.rows and not parts:
        lines.append("nothing would be stored")
    lines += _refusals(result.refused)
    lines += _unmapped(profile, result)
    return Told(lines, fine=not result.refused and bool(result.rows or parts))


def _stored(dataset_name: str, row: Row) -> Iterator[str]:
    """A row, value by value with its unit and flag."""
    dataset = DATASETS[dataset_name]
    flagged, flags, values = row[-4], row[-3], row[3 if dataset.interval else 2 : -4]
    period = f", over {timedelta(seconds=row[2])}" if dataset.interval else ""
    words = [word for word in dataset.flag_names(0, flags) if ":bottom_coded" not in word]
    yield f"{dataset.name} at {row[0].isoformat(timespec='milliseconds')}{period}{_in_brackets(words)}"
    for prop, value in zip(dataset.properties, values, strict=True):
        if value is None:
            continue
        odd = [word for word in dataset.flag_names(flagged, flags) if word.startswith(f"{prop.name}:")]
        number = f"{value:.9g}" if type(value) in (int, float) else str(value).lower()
        yield f"  {prop.name} = {number}{f' {prop.unit}' if prop.unit else ''}{_in_brackets(odd)}"


def _in_brackets(words: Sequence[str]) -> str:
    return f" ({', '.join(words)})" if words else ""


def _refusals(refused: Sequence[Refusal]) -> list[str]:
    lines = ["refused"] if refused else []
    for reason, detail, field, _ in refused:
        lines.append(f"  {field or 'the whole'}: {reason}: {detail or EXPLANATIONS[reason]}")
    return lines


def _unmapped(profile: DeviceProfile, result: Normalised) -> Iterator[str]:
    if result.unmapped:
        yield "not in the profile"
    leaves = (leaf for name, value in result.unmapped.items() for leaf in _leaves(name, value))
    for name, value in islice(leaves, SHOWN_FIELDS):
        words = name.endswith((".unit", ".displayName"))
        near = None if words else near_property(name, profile.kind)
        yield f"  {name} = {_as_json(value)}" + (f"; is it {near}?" if near else "")


def _as_json(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else shown(value)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What lies in objects and arrays, under its path as a profile writes it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner)
    elif path:
        yield path, value
