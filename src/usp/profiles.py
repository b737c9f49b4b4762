"""Device profiles as files: those that ship with the platform, and those of the user's own folder."""

from importlib.resources import files
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from usp.errors import ProfileError
from usp.models.device import KINDS
from usp.models.profile import DeviceProfile, default_profile, parse_profile

SUFFIX = ".yaml"


def load_profiles(directory: Path | None = None) -> dict[str, DeviceProfile]:
    """Return all profiles by name: a native one for each kind, the shipped files, and over both the user's own."""
    shipped = Path(str(files("usp") / "data" / "profiles"))
    if directory is not None and not directory.is_dir():
        raise ProfileError(f"{directory} is no folder.")
    folders = [shipped] if directory is None else [shipped, directory]
    profiles = [default_profile(kind) for kind in KINDS]
    profiles += [load_profile(path) for folder in folders for path in _files(folder)]
    return {profile.name: profile for profile in profiles}


def load_profile(path: Path) -> DeviceProfile:
    """Return the profile in a file, which is called as the profile is."""
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ProfileError(f"{where}: {error.problem or error.context or 'this is no YAML'}.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: this is no YAML in UTF-8 ({' '.join(str(error).split())}).") from None
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}.") from None
    profile = parse_profile(document, str(path))
    if path.stem != profile.name:
        raise ProfileError(
            f"{path}: the profile's name is {profile.name}, so the file has to be {profile.name}{SUFFIX}."
        )
    return profile


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in found:
        if path.suffix == ".yml":
            raise ProfileError(f"{path}: profiles end in {SUFFIX}; rename it.")
    return [path for path in found if path.suffix == SUFFIX]
