"""`usp profiles check` tells what would be stored, and why not."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from usp.cli import app
from usp.errors import ProfileError
from usp.models.profile_schema import schema
from usp.profiles import load_profiles

DOCS = Path(__file__).parents[2] / "docs"
ACME = """\
name: acme
title: ACME
kind: lamppost
interval: 300
codec: acme.js
fields:
  air.pm25: {property: pm2_5, parse: true}
  noise: laeq
children:
  - {path: "lanes[*]", name: "{index}"}
"""
SCRIPT = "function decodeUplink(i) { return {data: {no2: i.bytes[0], temp_f: 48.2, lit: true}, warnings: ['old']}; }"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a profile and its codec, and nothing else known of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USP_PROFILES_DIR", raising=False)
    (tmp_path / "acme.yaml").write_text(ACME)
    (tmp_path / "acme.js").write_text(SCRIPT)
    return tmp_path


def check(*words: str) -> tuple[int, list[str]]:
    """The exit status and what was printed."""
    result = CliRunner().invoke(app, ["profiles", "check", *words])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.stdout.splitlines()


def check_message(folder: Path, message: Any) -> tuple[int, list[str]]:
    """The same, for a message."""
    (folder / "message.json").write_text(json.dumps(message))
    return check("acme.yaml", "--message", "message.json")


def test_a_good_profile_is_told_in_few_lines(folder: Path) -> None:
    """What each field becomes, in which unit."""
    assert check("acme.yaml") == (0, [
        "ok",
        "acme: ACME (lamppost)",
        "  codec acme.js, every 300 s",
        "  air.pm25 -> air_quality.pm2_5 [µg/m³] (read from text)",
        "  noise -> noise.laeq [dB(A)]",
        "  parts at lanes[*] -> devices <name>-{index}",
    ])  # fmt: skip
    assert check("milan-lamppost")[0] == 0


def test_a_bad_profile_is_told_by_line_and_column(folder: Path) -> None:
    """Every mistake has its line; the exit status is 1."""
    (folder / "acme.yaml").write_text(ACME.replace("pm2_5", "pm25").replace("interval", "intervall"))
    assert check("acme.yaml") == (1, [
        "acme.yaml:4:1: there is no key 'intervall' here; did you mean interval?",
        "acme.yaml:7:24: a smart lamppost has no property 'pm25'; did you mean pm2_5?",
    ])  # fmt: skip


def test_a_payload_goes_through_the_codec(folder: Path) -> None:
    """Decoded fields, rows with units and flags, and what the profile does not know."""
    status, lines = check("acme.yaml", "--payload", "ff:00", "--port", "2")
    assert status == 0
    told = [line for line in lines[6:] if " at " not in line]
    assert told == [
        "decoded",
        "  no2 = 255",
        "  temp_f = 48.2",
        "  lit = true",
        "  warning of the codec: old",
        "  no2 = 255 µg/m³",
        "  lit = true",
        "not in the profile",
        "  temp_f = 48.2; is it temperature?",
    ]
    assert "(time:network)" in " ".join(lines)


def test_a_codec_that_fails_is_told(folder: Path) -> None:
    """With its own words, and exit status 1."""
    (folder / "acme.js").write_text("function decodeUplink(i) { throw new Error('no such port'); }")
    status, lines = check("acme.yaml", "--payload", "00")
    assert (status, lines[-2]) == (1, "refused")
    assert "no such port" in lines[-1]
    assert check("milan-lamppost", "--payload", "00")[1][-1].startswith(
        "  codec: no_codec: Add `codec: milan-lamppost.js`"
    )
    assert check("acme.yaml", "--payload", "xyz")[1][-1] == "The payload 'xyz' is no hex, such as 0100e20229."


def test_a_script_that_cannot_be_read_is_told_without_a_payload(folder: Path) -> None:
    """With line and column, and exit status 1."""
    (folder / "acme.js").write_text("function decodeUplink(i) {\n  retrun {};\n}\n")
    told = ["acme.js: SyntaxError: expecting ';' (line 2, column 10)"]
    assert check("acme.yaml") == (1, told)
    assert check("acme.yaml", "--payload", "00") == (1, told)


def test_decoded_fields_are_a_message_too(folder: Path) -> None:
    """What is refused is told with its reason, and the parts with their fields."""
    message = {"air": {"pm25": "1840"}, "noise": "loud", "lanes": [{"count": 3}], "time": "2026-11-20T09:00:00Z"}
    status, lines = check_message(folder, message)
    assert status == 1
    assert lines[6:] == [
        "air_quality at 2026-11-20T09:00:00.000+00:00 (late)",
        "  pm2_5 = 1840 µg/m³ (pm2_5:out_of_range)",
        "part <name>-1, which has a profile of its own",
        "  count = 3",
        "  time = '2026-11-20T09:00:00Z'",
        "refused",
        "  noise: wrong_type: Got 'loud', expected a number in dB(A).",
    ]


def test_an_array_holds_several_items(folder: Path) -> None:
    """One that cannot be stored is enough for exit status 1."""
    assert check_message(folder, [{"no2": 1.0}, {"no2": 2.0}])[0] == 0
    status, lines = check_message(folder, [{"no2": 1.0}, 5])
    assert (status, lines[-1]) == (1, "  the whole: not_an_object: Got 5.")
    status, lines = check_message(folder, {"uptime": 5})
    assert (status, lines[6]) == (1, "nothing would be stored")


def chirpstack(**fields: Any) -> dict[str, Any]:
    """A message of ChirpStack's."""
    info = {"devEui": "0101010101010101", "applicationId": "17c82e96"}
    return {"time": "2026-11-20T09:00:00Z", "deviceInfo": info, "fPort": 2, "data": "/wA=", **fields}


def the_things_stack(**fields: Any) -> dict[str, Any]:
    """A message of The Things Stack's."""
    ids = {"device_id": "dev1", "application_ids": {"application_id": "app1"}, "dev_eui": "0101010101010101"}
    content = {"f_port": 2, "frm_payload": "/wA=", "received_at": "2026-11-20T09:00:00Z", **fields}
    return {"end_device_ids": ids, "received_at": "2026-11-20T09:00:00Z", "uplink_message": content}


@pytest.mark.parametrize("message", [chirpstack(), the_things_stack()])
def test_a_network_servers_message_goes_through_the_codec(folder: Path, message: dict[str, Any]) -> None:
    """The payload in it is decoded, and the time is the network's."""
    status, lines = check_message(folder, message)
    assert status == 0
    assert "air_quality at 2026-11-20T09:00:00.000+00:00 (time:network)" in lines
    assert "  no2 = 255 µg/m³" in lines


@pytest.mark.parametrize(
    "message", [chirpstack(object={"noise": 61.5}), the_things_stack(decoded_payload={"noise": 61.5})]
)
def test_what_the_network_server_has_decoded_is_taken(folder: Path, message: dict[str, Any]) -> None:
    """Sound stands at the start of its interval."""
    status, lines = check_message(folder, message)
    assert status == 0
    assert lines[6:] == ["noise at 2026-11-20T08:55:00.000+00:00, over 0:05:00 (time:network)", "  laeq = 61.5 dB(A)"]


def test_a_message_that_is_none_is_told(folder: Path) -> None:
    """No JSON, and no reading in it."""
    (folder / "message.json").write_text("{")
    status, lines = check("acme.yaml", "--message", "message.json")
    assert status == 1
    assert lines[-1].startswith("The message is no JSON: ")
    message = chirpstack()
    del message["data"], message["fPort"]
    assert check_message(folder, message) == (1, [*check("acme.yaml")[1], "This message carries no reading."])


def test_a_file_that_is_not_there_is_an_error(folder: Path) -> None:
    """And so are two ways at once."""
    with pytest.raises(ProfileError, match="nowhere: No such file"):
        check("nowhere")
    assert check("acme.yaml", "--payload", "00", "--message", "m")[0] == 2
    assert check("acme.yaml", "--message", "nofile") == (
        1,
        ["The message cannot be read: nofile: No such file or directory."],
    )


def test_the_schema_is_printed_as_it_is_published(folder: Path) -> None:
    """An editor may take either."""
    result = CliRunner().invoke(app, ["profiles", "schema"])
    assert result.stdout == (DOCS / "profile.schema.json").read_text()


def test_the_schema_knows_every_key_and_property() -> None:
    """What the shipped profiles hold is in it, and nothing else is allowed."""
    document = schema()
    assert document["additionalProperties"] is False
    for profile in load_profiles().values():
        dumped = profile.model_dump(mode="json", exclude_defaults=True)
        assert dumped.keys() <= document["properties"].keys()
        assert profile.kind in document["properties"]["kind"]["enum"]
        (rule,) = [
            r["then"]["properties"] for r in document["allOf"] if r["if"]["properties"]["kind"]["const"] == profile.kind
        ]
        names = rule["fields"]["additionalProperties"]["anyOf"][0]["enum"]
        assert {mapping.property for mapping in profile.fields.values()} <= set(names)
        assert profile.registers.keys() <= set(rule["registers"]["propertyNames"]["enum"])
    for definition in ("FieldMap", "PartRule", "Register"):
        assert document["$defs"][definition]["additionalProperties"] is False
        assert all("description" in key for key in document["$defs"][definition]["properties"].values())


def test_the_list_shows_kind_interval_and_codec(folder: Path) -> None:
    """Tab-separated for programs."""
    result = CliRunner().invoke(app, ["profiles", "list"])
    assert "elsys-ers\tindoor_sensor\t600.0\telsys.js\tELSYS ERS room sensor" in result.stdout.splitlines()
