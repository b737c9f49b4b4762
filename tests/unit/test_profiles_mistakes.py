"""What is wrong in a profile is told with its place and with what would be right, and all of it at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usp.models.profile_rules import near_property
from usp.profile_text import read_profile

HEAD = "name: acme\ntitle: ACME\nkind: lamppost\n"


def mistakes(text: str) -> list[str]:
    """Each mistake with its line and column."""
    _, found = read_profile(text, "f")
    return [str(mistake).removeprefix("f:") for mistake in found]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("intervall: 5", "4:1: there is no key 'intervall' here; did you mean interval?"),
        ("interval: '5'", "4:11: expected a number, got '5'."),
        ("interval: 0", "4:11: expected a number greater than 0, got 0."),
        ("interval: 90000", "4:11: expected a number up to 86400, got 90000."),
        ("interval: .inf", "4:11: expected a number up to 86400, got inf."),
        ("max_hold: .nan", "4:11: expected a number, got nan."),
        ("timestamp: ende", "4:12: expected end or start, got 'ende'; did you mean end?"),
        ("time: 5", "4:7: expected text, got 5; put it into quotes."),
        ("zone: Rome", "4:7: 'Rome' is no time zone; Europe/Rome is one."),
        ("codec: acme", "4:8: 'acme' is no codec; cayenne_lpp is one, or a file's name: acme.js."),
        ("codec: ../acme.js", "4:8: '../acme.js' is no codec; cayenne_lpp is one, or a file's name: acme.js.js."),
        ("version: 2", "4:10: expected 1, got 2; there is no other version yet."),
        ("missing: [null]", "4:11: expected a value as the device sends it, got None; null is no value anyway."),
        ("fields: [a]", "4:9: expected keys and values, got a list; they stand below, indented."),
        ("fields: {a: 5}", "4:13: expected keys and values, got 5; they stand below, indented."),
        ("fields: {a: {unit: K}}", "4:10: property is missing: the property that the field becomes."),
        ("fields: {a: pm25}", "4:13: a smart lamppost has no property 'pm25'; did you mean pm2_5?"),
        ("fields: {a: temp}", "4:13: a smart lamppost has no property 'temp'; did you mean temperature?"),
        ("fields: {a: occupied}", "4:13: a smart lamppost has no property 'occupied'; a device of kind parking_sensor"),
        ("fields: {a: {property: no2, unti: K}}", "4:29: there is no key 'unti' here; did you mean unit?"),
        (
            "fields: {a: {property: temperature, unit: C}}",
            "4:43: 'C' cannot become the property's unit (temperature is in °C); did you mean degC?",
        ),
        ("fields: {a: {property: no2, unit: ppb}}", "4:35: 'ppb' cannot become the property's unit (no2 is in µg/m³)"),
        ("fields: {a: {property: rssi, unit: mW}}", "4:36: 'mW' cannot become the property's unit (rssi is in dBm)"),
        ("fields: {a: {property: no2, values: {1: x}}}", "4:37: no2 is a number; values are for states and booleans."),
        ("fields: {a: {property: lit, scale: 2}}", "4:36: lit is no number, so scale does not apply; values does."),
        ("fields: {a: {property: lit, values: {1: yes}}}", "4:41: lit is true or false, got 'yes'."),
        ("fields: {a: {property: lit, values: {1: 2}}}", "4:41: expected true, false or one of the property's states"),
        (
            'fields: {a: {property: lit, values: {1: true, "1": false}}}',
            "4:47: '1' is there already, in line 4; keep one of them.",
        ),
        ("fields: {null: no2}", "4:10: expected a key: text, a number or a boolean."),
        ("fields: {[a]: no2}", "4:10: expected a key: text, a number or a boolean."),
        ("fields: {a: no2, a.b: no}", "4:18: a.b lies inside a, which is a field itself; keep one of them."),
        ("fields: {'a[*].b': no2, 'a[*]': no}", "4:25: 'a[*]' means several values; each is one of a part"),
        ("registers: {no2: {modulus: 5}}", "4:13: no2 does not count up; these do: "),
        ("registers: {energy: {}}", "4:13: modulus is missing: "),
        ("registers: {energi: {modulus: 1}}", "4:13: a smart lamppost has no property 'energi'; did you mean energy?"),
        ("children: {path: a}", "4:11: expected a list, got keys and values; its lines begin with '- '."),
        ("children: [{name: a}]", "4:12: expected either path or prefix, and not both."),
        ("children: [{path: 'a[*]', name: b}]", "4:33: there may be several, and all would be called b"),
        ("children: [{path: 'a[*].b', name: b}]", "4:19: 'a[*].b': a * stands at the end, as in lanes[*]."),
        ("children: [{path: a, name: B c}]", "4:28: 'B c' cannot end a device's name"),
        ("children: [{prefix: a_, name: 'b-{c}'}]", "4:31: with prefix, the name may hold {index}"),
        ("children: [{path: 'a[*]'}]", "4:12: name is missing: what it is called, such as lane-{index}."),
        ("fields: {'lanes[0.count': no2}", "4:10: 'lanes[0.count' is no path; did you mean lanes[0].count?"),
        ("fields: {'lanes[].count': no2}", "4:10: 'lanes[].count' is no path; did you mean lanes[0].count?"),
        ("fields: {'lanes.[0].count': no2}", "4:10: 'lanes.[0].count' is no path; did you mean lanes[0].count?"),
        ("fields: {air..no2: no2}", "4:10: 'air..no2' is no path; did you mean air.no2?"),
        ("fields: {'a]b': no2}", "4:10: 'a]b' is no path; lanes[0].count is one."),
        ("time: 'a[.t'", "4:7: 'a[.t' is no path; lanes[0].count is one."),
        ("children: [{path: 'lanes[]', name: 'b{index}'}]", "4:19: 'lanes[]' is no path; did you mean lanes[*]?"),
        ("children: [{path: 'lanes[', name: b}]", "4:19: 'lanes[' is no path; lanes[0].count is one."),
        ("children: [{path: a, name: b}]\nfields: {a.c: no2}", "5:10: a.c belongs to the parts at a; map it"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_with_what_would_be_right(line: str, told: str) -> None:
    """Only this one is told: the rest is right."""
    (mistake,) = mistakes(f"{HEAD}{line}\n")
    assert mistake.startswith(told)


@pytest.mark.parametrize("name", ["T [°C]", "CO2 [ppm]", "No.", "a b", "air.pm25", "a[0][1].b", "0"])
def test_a_plain_key_may_look_odd(name: str) -> None:
    """Vendors put units in brackets; that is a key as it stands."""
    assert mistakes(f"{HEAD}fields: {{{name!r}: no2}}\n") == []


def test_all_mistakes_are_told_at_once() -> None:
    """Forms and meanings, in the order of the file."""
    text = (
        HEAD
        + "interval: x\nfields:\n  a: {property: pm25, scle: 3}\n  b: {property: temperature, unit: kg}\nzone: Rome\n"
    )
    assert [mistake.split(": ")[0] for mistake in mistakes(text)] == ["4:11", "6:17", "6:23", "7:36", "8:7"]


def test_what_is_missing_is_told_at_the_beginning() -> None:
    """Name, title and kind have to be there."""
    assert mistakes("interval: 5\n") == [
        "1:1: kind is missing: one of lamppost, parking_sensor, charging_point, energy_meter, indoor_sensor.",
        "1:1: name is missing: the file's name without .yaml.",
        "1:1: title is missing: what people call the device model.",
    ]
    assert mistakes("name: acme\ntitle: x\nkind: lampost\n") == [
        "3:7: there is no kind 'lampost'; did you mean lamppost?"
    ]


_PLAIN = st.none() | st.booleans() | st.integers() | st.text()


@settings(deadline=None, max_examples=50)
@given(st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_stands_in_a_profile_is_answered(value: object) -> None:
    """No value anywhere breaks the reader; a profile comes out, or mistakes."""
    for key in ("name", "fields", "children", "registers", "missing", "time", "zone", "codec"):
        profile, found = read_profile(f"title: x\nkind: lamppost\n{key}: {json.dumps(value)}\n", "f")
        assert (profile is None) == bool(found)


@pytest.mark.parametrize(
    ("field", "kind", "near"),
    [
        ("PM25", "lamppost", "pm2_5"),
        ("air.temp_f", "lamppost", "temperature"),
        ("batteryVoltage", "lamppost", "battery_voltage"),
        ("hum", "indoor_sensor", "humidity"),
        ("ActiveEnergyImportT1.value", "energy_meter", "energy_import"),
        ("firmware", "lamppost", None),
        ("T", "lamppost", None),
    ],
)
def test_the_property_that_a_field_may_be_is_found(field: str, kind: str, near: str | None) -> None:
    """By its beginning, by what it holds, and by its letters."""
    assert near_property(field, kind) == near
