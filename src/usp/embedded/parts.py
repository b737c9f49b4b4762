"""PostgreSQL, TimescaleDB and Mosquitto, unpacked once per machine and user."""

from dataclasses import dataclass, fields
from pathlib import Path

from usp.embedded.bundle import Bundle, Progress
from usp.embedded.errors import EmbeddedUnavailable

POSTGRES = "usr/lib/postgresql/17"
PLACES = {
    **{name: f"{POSTGRES}/bin/{name}" for name in ("postgres", "initdb", "pg_ctl", "psql", "pg_dump", "pg_restore")},
    "mosquitto": "usr/sbin/mosquitto",
    **{name: f"usr/bin/{name}" for name in ("mosquitto_pub", "mosquitto_sub", "mosquitto_passwd")},
}

SERVERS = Bundle(
    name="parts",
    revision=1,
    wanted=("postgresql-17", "postgresql-17-timescaledb", "mosquitto", "mosquitto-clients"),
    needed=("postgresql-client-17", "zlib1g"),
    # The just-in-time compiler is switched off.
    left_out=("libllvm", "libz3", "libperl", "libc-bin", "libc-l10n", "libpam-modules"),
    clutter=(
        *("etc", "usr/share/doc", "usr/share/locale", "usr/share/man"),
        *(f"{POSTGRES}/lib/{name}" for name in ("bitcode", "llvmjit.so")),
    ),
    programs=tuple(PLACES.values()),
    trials=tuple((PLACES[name], "--help") for name in ("postgres", "psql", "mosquitto", "mosquitto_sub")),
    megabytes=45,
)

# PostgreSQL is built to read time zones from here and from nowhere else.
ZONES = Path("/usr/share/zoneinfo/Europe/Rome")


@dataclass(frozen=True)
class Parts:
    """The programs."""

    postgres: Path
    initdb: Path
    pg_ctl: Path
    psql: Path
    pg_dump: Path
    pg_restore: Path
    mosquitto: Path
    mosquitto_pub: Path
    mosquitto_sub: Path
    mosquitto_passwd: Path

    @classmethod
    def below(cls, root: Path) -> "Parts":
        """Name the programs of an unpacked folder."""
        return cls(**{field.name: root / PLACES[field.name] for field in fields(cls)})


def find_parts(cache: Path | None = None) -> Parts | None:
    """Return the programs if they are already there."""
    root = SERVERS.find(cache)
    return Parts.below(root) if root else None


def get_parts(progress: Progress = lambda _: None, cache: Path | None = None) -> Parts:
    """Return the programs; where they are not there yet, download, unpack and patch them first."""
    if not ZONES.exists():
        raise EmbeddedUnavailable("PostgreSQL needs the system's time zones (package tzdata).")
    return Parts.below(SERVERS.get(progress, cache))
