"""The messages of this folder, whole or changed."""

from pathlib import Path
from typing import Any

import orjson

_FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in _FOLDER.glob("*.json"))
#: In a change: leave the field out.
ABSENT = object()


def vector(name: str, changes: dict[str, Any] | None = None) -> tuple[str, bytes]:
    """Topic and payload. `changes` are new values by path, such as `rxInfo.0.snr`; ABSENT leaves one out."""
    content = orjson.loads((_FOLDER / f"{name}.json").read_bytes())
    message = content["message"]
    for path, value in (changes or {}).items():
        *way, last = path.split(".")
        node: Any = message
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        key: Any = int(last) if isinstance(node, list) else last
        if value is ABSENT:
            del node[key]
        else:
            node[key] = value
    return content["topic"], orjson.dumps(message)
