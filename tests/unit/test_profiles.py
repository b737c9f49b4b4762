from pathlib import Path

import pytest

from usp.errors import ProfileError
from usp.profiles import load_codecs, load_profiles
from usp.registry import MILAN, read_devices, read_sites

ACME = "name: acme\ntitle: ACME\nkind: lamppost\n"


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
    """`on` and `no` are words, not booleans, and 0xFF is a number."""
    text = (
        "name: dwarf\ntitle: no\nkind: lamppost\nmissing: 0xFF\n"
        "fields:\n  state: {property: lit, values: {on: true, off: false}}\n"
    )
    profile = load_profiles(write(tmp_path, "dwarf.yaml", text))["dwarf"]
    assert profile.title == "no"
    assert profile.fields["state"].values == {"on": True, "off": False}
    assert profile.missing == (255,)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("broken.yaml", "name: broken\ntitle: [1\nkind: x\n", "broken.yaml:3:5: "),
        ("twice.yaml", "name: twice\nname: twice\n", "twice.yaml:2:1: 'name' is there already, in line 1"),
        ("tab.yaml", "name: tab\n\ttitle: x\n", "tab.yaml:2:1: there is a tab here"),
        ("two.yaml", "name: two\n---\nname: three\n", "two.yaml:2:1: another document begins here"),
        ("tag.yaml", "name: !!python/name:os.system x\n", "tag.yaml:1:7: tag:yaml.org,2002:python/name:os.system"),
        ("bell.yaml", "name: bell\ntitle: \x07\n", "bell.yaml:2:8: there is a character here"),
        ("loop.yaml", "name: loop\nfields: &a {b: *a}\n", "loop.yaml:2:9: this contains itself"),
        ("deep.yaml", "name: " + "[" * 5000, "deep.yaml:1:1: this is nested too deeply"),
        ("empty.yaml", "", "empty.yaml:1:1: expected a profile"),
        ("list.yaml", "- name: list\n", "list.yaml:1:1: expected a profile"),
        ("other.yaml", "name: meter\ntitle: x\nkind: lamppost\n", "other.yaml:1:7: the profile's name is meter"),
        ("short.yml", "name: short\n", "rename it"),
    ],
)
def test_a_bad_file_is_named_with_its_mistake(tmp_path: Path, name: str, text: str, told: str) -> None:
    """The message leads to the file, the line and the column."""
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


def test_a_codec_lies_beside_the_profile_or_ships_with_the_platform(tmp_path: Path) -> None:
    """The user's own file goes before a shipped one of its name, for shipped profiles too."""
    write(tmp_path, "elsys.js", "function decodeUplink(input) { return {data: {}}; }")
    write(tmp_path, "acme.yaml", ACME + "codec: decentlab-dl-pm.js\n")
    write(tmp_path, "lpp.yaml", ACME.replace("acme", "lpp") + "codec: cayenne_lpp\n")
    codecs = load_codecs(load_profiles(tmp_path), tmp_path)
    assert codecs["elsys-ers"].script.startswith("function")
    assert "Decentlab" in codecs["acme"].script
    assert codecs["lpp"].name == "cayenne_lpp"
    assert "milan-lamppost" not in codecs


def test_a_codec_that_is_not_there_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    """With the one that may have been meant."""
    with pytest.raises(ProfileError, match=r"acme\.yaml:4:8: there is no file elsis\.js; did you mean elsys\.js\?"):
        load_profiles(write(tmp_path, "acme.yaml", ACME + "codec: elsis.js\n"))
