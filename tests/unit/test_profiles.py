from pathlib import Path

import pytest

from usp.errors import ProfileError
from usp.profiles import load_profiles
from usp.registry import MILAN, read_devices, read_sites


def write(folder: Path, name: str, text: str) -> Path:
    """Write a profile into a folder and return the folder."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_demonstration_device_has_a_shipped_profile_of_its_kind_and_a_site() -> None:
    """The demonstration district is complete in itself."""
    profiles = load_profiles()
    sites = {site.name for site in read_sites(MILAN / "sites.csv")}
    devices = read_devices(MILAN / "devices.csv")
    names = {device.name for device in devices}
    for device in devices:
        assert profiles[device.profile].kind == device.kind
        assert device.site in sites
        assert device.parent is None or device.parent in names
    assert len(names) == len(devices)


def test_the_demonstration_district_is_that_of_the_project() -> None:
    """20 lampposts, 75 parking sensors, 60 charging points on the street of which 20 are fast, 7 buildings."""
    devices = read_devices(MILAN / "devices.csv")
    assert sum(d.kind == "lamppost" for d in devices) == 20
    assert sum(d.kind == "parking_sensor" for d in devices) == 75
    points = [d for d in devices if d.kind == "charging_point" and d.visibility == "open"]
    assert (len(points), sum(d.category == "fast" for d in points)) == (60, 20)
    assert sum(d.category == "main" for d in devices) == 7
    assert all(d.visibility == "restricted" for d in devices if "flat" in d.name)


def test_all_places_are_in_the_south_of_milan_and_marked_as_approximate() -> None:
    """Nobody takes the demonstration's coordinates for surveyed ones."""
    placed = [(site.lon, site.lat, site.approximate) for site in read_sites(MILAN / "sites.csv")]
    placed += [(d.lon, d.lat, d.approximate) for d in read_devices(MILAN / "devices.csv") if d.lon and d.lat]
    assert all(9.16 < lon < 9.25 and 45.41 < lat < 45.47 and approximate for lon, lat, approximate in placed)


def test_a_users_profile_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    """Who wants another interval writes one file."""
    text = "name: milan-meter\ntitle: Ours\nkind: energy_meter\ninterval: 900\n"
    profiles = load_profiles(write(tmp_path, "milan-meter.yaml", text))
    assert profiles["milan-meter"].interval == 900
    assert "milan-parking" in profiles


def test_yaml_is_version_1_2(tmp_path: Path) -> None:
    """`on` and `no` are words, not booleans."""
    text = "name: dwarf\ntitle: no\nkind: lamppost\nfields:\n  state: {property: lit, values: {on: true, off: false}}\n"
    profile = load_profiles(write(tmp_path, "dwarf.yaml", text))["dwarf"]
    assert profile.title == "no"
    assert profile.fields["state"].values == {"on": True, "off": False}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("broken.yaml", "name: broken\ntitle: [1\nkind: x\n", "broken.yaml:3: "),
        ("twice.yaml", "name: twice\nname: twice\n", "twice.yaml:2: found duplicate key"),
        ("tab.yaml", "name: tab\n\ttitle: x\n", "tab.yaml:2: "),
        ("two.yaml", "name: two\n---\nname: three\n", "two.yaml:"),
        ("tag.yaml", "name: !!python/name:os.system x\n", "tag.yaml:1: "),
        ("empty.yaml", "", "empty.yaml: "),
        ("other.yaml", "name: meter\ntitle: x\nkind: lamppost\n", "the file has to be meter.yaml"),
        ("wrong.yaml", "name: wrong\ntitle: x\nkind: lamppost\nintervall: 5\n", "intervall"),
        ("short.yml", "name: short\n", "rename it"),
        ("name.yaml", "name: 'A'\ntitle: x\nkind: lamppost\n", "no identifier"),
    ],
)
def test_a_bad_profile_is_named_with_its_mistake(tmp_path: Path, name: str, text: str, told: str) -> None:
    """The message leads to the file, and to the line where the YAML itself is broken."""
    with pytest.raises(ProfileError, match=name) as caught:
        load_profiles(write(tmp_path, name, text))
    assert told in str(caught.value)


def test_a_profile_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Latin-1 is not guessed at."""
    (tmp_path / "caffe.yaml").write_bytes("name: caffe\ntitle: Caffè\n".encode("latin-1"))
    with pytest.raises(ProfileError, match=r"caffe\.yaml.*UTF-8"):
        load_profiles(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A misspelt USP_PROFILES_DIR is not an empty one."""
    with pytest.raises(ProfileError, match="nowhere is no folder"):
        load_profiles(tmp_path / "nowhere")
