"""The rooms of the house: who may know whom."""

import ast
from pathlib import Path

import pytest

import usp

ROOT = Path(usp.__file__).parent

#: room -> the modules of ours it may import, by their beginnings.
MAY_IMPORT = {
    "models": ("usp.errors", "usp.models"),
    "ingest": ("usp.errors", "usp.models", "usp.db", "usp.settings", "usp.ingest"),
    "api": ("usp.errors", "usp.models", "usp.db", "usp.settings", "usp.migrate", "usp.api"),
    "embedded": ("usp.errors", "usp.embedded"),
}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in {"usp", "usp_simulators"}}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """Models know nothing but errors; ingest and api never meet."""
    for path in (ROOT / room).rglob("*.py"):
        strangers = {name for name in imports(path) if not name.startswith(MAY_IMPORT[room])}
        assert not strangers, path


def test_migrations_do_not_know_the_declarations() -> None:
    """A revision that derives its statements from today's declarations rewrites history."""
    for path in (ROOT.parents[1] / "migrations").rglob("*.py"):
        assert not imports(path), path
