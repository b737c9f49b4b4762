"""Published examples of a codec, in the three forms in which they come."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError

from usp.errors import CodecError
from usp.ingest.codecs.codec import Frame

#: Where an example names no time. Any will do, but the same each time.
SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)
#: What comes of reading a document of another form.
_OTHER_FORM = (KeyError, TypeError, ValueError, AttributeError)


class Example(NamedTuple):
    """What a codec gets, and what ought to come of it: `data`, `warnings`, `errors`, `normalized`, where named."""

    name: str
    frame: Frame
    expect: Mapping[str, Any]


def read_examples(path: Path, codec: str = "") -> list[Example]:
    """The examples of a file. Where its lines name their codecs, and one is `codec`, only that one's."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in {".yaml", ".yml"}:
            found = list(_things_network(_yaml(text)))
        elif text.lstrip().startswith("["):
            found = list(_chirpstack(_yaml(_JSON5.sub(_as_yaml, text))))
        else:
            found = list(_lines(path, text, codec))
    except (OSError, UnicodeDecodeError) as error:
        raise CodecError(f"{path}: {error}.") from None
    except YAMLError as error:
        raise CodecError(f"{path}: {' '.join(str(error).split())}.") from None
    except _OTHER_FORM as error:
        raise CodecError(f"{path} has none of the three forms of examples ({type(error).__name__}: {error}).") from None
    return found


#: ChirpStack's files are JSON5: besides texts there are comments, and names without quotes.
_JSON5 = re.compile(r"""("(?:[^"\\]|\\.)*")|(//[^\n]*|/\*.*?\*/)|(?<=[{,\s])([A-Za-z_$][\w$]*)(?=\s*:)""", re.DOTALL)


def _as_yaml(match: re.Match[str]) -> str:
    """JSON is a part of YAML, and so are numbers such as 0x0a; the rest is made so."""
    text, comment, name = match.groups()
    return text or ("" if comment else f'"{name}"')


class _Constructor(SafeConstructor):
    """A date is a text to a codec, as it is to JSON."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _yaml(text: str) -> Any:
    """A document of YAML 1.2, in which `on` and `no` are texts."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    yaml.allow_duplicate_keys = True
    return yaml.load(text)


def _things_network(document: Any) -> Iterator[Example]:
    """The `*-codec.yaml` of The Things Network's device repository."""
    for number, example in enumerate(document["uplinkDecoder"].get("examples") or (), 1):
        expect = dict(example["output"])
        if "normalizedOutput" in example:
            expect["normalized"] = example["normalizedOutput"]["data"]
        yield Example(example.get("description") or f"example {number}", _frame(example["input"]), expect)


def _chirpstack(document: Any) -> Iterator[Example]:
    """The `test_decode_*.json` of ChirpStack's device profiles."""
    for number, example in enumerate(document, 1):
        yield Example(example.get("name") or f"example {number}", _frame(example["input"]), example["expected"])


def _lines(path: Path, text: str, codec: str) -> Iterator[Example]:
    """Lines of JSON with `fPort`, `hex` and `expect`, and `errors: true` where the codec ought to fail."""
    documents = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                documents.append((number, json.loads(line)))
            except json.JSONDecodeError as error:
                raise CodecError(f"{path}:{number}:{error.colno}: This is no JSON: {error.msg}.") from None
    its_own = [(n, d) for n, d in documents if codec and Path(d.get("codec", "")).name == codec]
    for number, document in its_own or documents:
        try:
            yield _line(f"{path}:{number}", number, document)
        except _OTHER_FORM as error:
            told = f"This has none of the three forms of examples ({type(error).__name__}: {error})."
            raise CodecError(f"{path}:{number}: {told}") from None


def _line(place: str, number: int, document: Mapping[str, Any]) -> Example:
    try:
        payload = bytes.fromhex(document["hex"])
    except ValueError:
        raise CodecError(f"{place}: {document['hex']!r} is no hex, such as 0100e20229.") from None
    frame = _frame({**document, "bytes": [*payload]})
    expect = {"errors": True} if document.get("errors") else {"data": document["expect"]}
    name = document.get("description") or document.get("device") or "example"
    return Example(f"line {number}, {name}", frame, expect)


def _frame(given: Mapping[str, Any]) -> Frame:
    time = given.get("recvTime")
    received_at = SOME_TIME if time is None else datetime.fromisoformat(str(time))
    if received_at.tzinfo is None:
        received_at = received_at.replace(tzinfo=UTC)
    return Frame(bytes(given["bytes"]), given.get("fPort"), received_at, given.get("variables") or {})
