"""A private TimescaleDB and a private Mosquitto, without Docker and without an installation."""

from usp.embedded.errors import EmbeddedFailed, EmbeddedUnavailable, FolderInUse
from usp.embedded.mosquitto import Mosquitto
from usp.embedded.parts import Parts, find_parts, get_parts
from usp.embedded.postgres import Postgres

__all__ = [
    "EmbeddedFailed",
    "EmbeddedUnavailable",
    "FolderInUse",
    "Mosquitto",
    "Parts",
    "Postgres",
    "find_parts",
    "get_parts",
]
