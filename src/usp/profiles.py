"""Device profiles and their codecs as files: those that ship with the platform, and those of the user's own folder."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from usp.errors import ProfileError
from usp.ingest.codecs import BUILT_IN, Codec
from usp.models.device import KINDS
from usp.models.profile import DeviceProfile, default_profile
from usp.profile_text import Mistake, read_profile

SUFFIX = ".yaml"
DATA = Path(str(files("usp") / "data"))


def load_profiles(directory: Path | None = None) -> dict[str, DeviceProfile]:
    """Return all profiles by name: a native one for each kind, the shipped files, and over both the user's own."""
    shipped = DATA / "profiles"
    if directory is not None and not directory.is_dir():
        raise ProfileError(f"{directory} is no folder.")
    folders = [shipped] if directory is None else [shipped, directory]
    profiles = [default_profile(kind) for kind in KINDS]
    profiles += [load_profile(path, directory) for folder in folders for path in _files(folder)]
    return {profile.name: profile for profile in profiles}


def load_profile(path: Path, directory: Path | None = None) -> DeviceProfile:
    """Return the profile in a file, which is called as the profile is. `directory` is the user's own folder."""
    profile, mistakes = check_profile(path, directory)
    if profile is None:
        told = "\n".join(map(str, mistakes))
        raise ProfileError(told if len(mistakes) == 1 else f"\n{told}")
    return profile


def check_profile(path: Path, directory: Path | None = None) -> tuple[DeviceProfile | None, list[Mistake]]:
    """The profile in a file, or everything that is wrong with it. Raises ProfileError where it cannot be read."""
    return read_profile(_text(path), str(path), name=path.stem, scripts=_scripts(path.parent, directory))


def load_codecs(profiles: Mapping[str, DeviceProfile], directory: Path | None = None) -> dict[str, Codec]:
    """The codecs of all profiles that ask for one, by the profile's name."""
    return {p.name: load_codec(p, directory) for p in profiles.values() if p.codec is not None}


def load_all(directory: Path | None = None) -> tuple[dict[str, DeviceProfile], dict[str, Codec]]:
    """All profiles and the codecs that they ask for, both by the profile's name."""
    profiles = load_profiles(directory)
    return profiles, load_codecs(profiles, directory)


def load_codec(profile: DeviceProfile, *directories: Path | None) -> Codec:
    """The codec of a profile that asks for one, looked for in the folders given and then among the shipped ones."""
    name = profile.codec or ""
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = _scripts(*directories).get(name)
    if path is None:
        raise ProfileError(f"{profile.name} asks for the codec {name}, and there is no such file.")
    return Codec.of(name, _text(path))


def _scripts(*directories: Path | None) -> dict[str, Path]:
    """The JavaScript files in folders and among the shipped ones; the first folder that has one counts."""
    folders = [*(folder for folder in directories if folder is not None), DATA / "codecs"]
    return {path.name: path for folder in reversed(folders) for path in sorted(folder.glob("*.js"))}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path}: this is no text in UTF-8 ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}.") from None


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in found:
        if path.suffix == ".yml":
            raise ProfileError(f"{path}: profiles end in {SUFFIX}; rename it.")
    return [path for path in found if path.suffix == SUFFIX]
