"""The pages' words: all in every language, with the same gaps to fill in, and none too many."""

import json
import re
from pathlib import Path

import pytest

from usp.models.dataset import FLAG_WORDS
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.reasons import Reason

WEB = Path(__file__).parents[2] / "src/usp/web"
MESSAGES: dict[str, dict[str, str]] = json.loads((WEB / "common/messages.json").read_text())
SOURCES = "".join(path.read_text() for room in ("common", "map", "ops") for path in (WEB / room).rglob("*.ts*"))

#: What the API names and the pages translate.
NAMED = {
    "dataset": DATASETS,
    "property": {p.name for d in DATASETS.values() for p in d.properties},
    "state": {s for d in DATASETS.values() for p in d.properties for s in p.states},
    "kind": KINDS,
    "category": {category for kind in KINDS.values() for category in kind.categories},
    "reason": {str(reason) for reason in Reason},
    "flag": FLAG_WORDS,
}


def _gaps(text: str) -> set[str]:
    """The names that an ICU message wants filled in."""
    return set(re.findall(r"\{\s*(\w+)\s*[,}]", text))


@pytest.mark.parametrize("key", sorted(MESSAGES))
def test_a_message_is_said_in_both_languages(key: str) -> None:
    """Whoever reads Italian is told as much as whoever reads English."""
    message = MESSAGES[key]
    assert message.keys() == {"en", "it"}
    assert all(text.strip() == text != "" for text in message.values())
    assert _gaps(message["en"]) == _gaps(message["it"])


@pytest.mark.parametrize("group", NAMED)
def test_every_name_has_words(group: str) -> None:
    """No reader meets a column's name where a word is due."""
    missing = {f"{group}.{name}" for name in NAMED[group]} - MESSAGES.keys()
    assert not missing


def test_no_message_is_left_over() -> None:
    """What no page says is no longer translated."""
    named = re.compile(rf"({'|'.join([*NAMED, 'unit'])})\.")
    composed = tuple(re.findall(r"[`\"]([a-z]+(?:\.[a-z_]+)*\.)\$\{", SOURCES))
    left = [
        key for key in MESSAGES if f'"{key}"' not in SOURCES and not named.match(key) and not key.startswith(composed)
    ]
    assert not left
