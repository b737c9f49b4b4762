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
    # Words; all others are symbols, alike in every language.
    "unit": {
        p.unit for d in DATASETS.values() for p in d.properties if p.unit and p.unit.startswith(("count", "byte"))
    },
}
#: What the pages name by themselves: states of what is true or false.
OWN = {"state.free", "state.occupied", "state.lit", "state.unlit", "state.true", "state.false"}


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
    named = OWN | {f"{group}.{name}" for group, names in NAMED.items() for name in names}
    composed = tuple(re.findall(r"[`\"]([a-z]+(?:\.[a-z_]+)*\.)\$\{", SOURCES))
    left = [key for key in MESSAGES if f'"{key}"' not in SOURCES and key not in named and not key.startswith(composed)]
    assert not left
