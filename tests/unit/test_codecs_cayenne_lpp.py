"""Cayenne LPP, against the examples of its documentation and of The Things Network's library for it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from usp.ingest.codecs import BUILT_IN, CodecRuntime, Decoded, Frame
from usp.ingest.codecs.cayenne_lpp import TYPES
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason


async def decoded(payload: str) -> Decoded | Refusal:
    """What becomes of a payload, without any process."""
    frame = Frame(bytes.fromhex(payload), 1, datetime.now(UTC))
    (result,) = await CodecRuntime().decode(BUILT_IN["cayenne_lpp"], [frame])
    return result


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        # myDevices, "Cayenne Low Power Payload": two temperatures; temperature and acceleration; position.
        ("03670110 056700ff", {"temperature_3": 27.2, "temperature_5": 25.5}),
        ("0167ffd7 067104d2fb2e0000", {"temperature_1": -4.1, "accelerometer_6": {"x": 1.234, "y": -1.234, "z": 0}}),
        ("018806765ff2960a0003e8", {"gps_1": {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10}}),
        ("0000ff 010100", {"digital_in_0": 255, "digital_out_1": 0}),
        ("0202ff9c 03030064", {"analog_in_2": -1, "analog_out_3": 1}),
        ("0165ffff 026601 03689f", {"luminosity_1": 65535, "presence_2": 1, "relative_humidity_3": 79.5}),
        ("01732aa8", {"barometric_pressure_1": 1092}),
        ("01860001fffe0064", {"gyrometer_1": {"x": 0.01, "y": -0.02, "z": 1}}),
        ("01747531 0275c350 0376000186a0", {"voltage_1": 300.01, "current_2": 50, "frequency_3": 100_000}),
        ("017864 0279ff38 037d0190", {"percentage_1": 100, "altitude_2": -200, "concentration_3": 400}),
        ("01800bb8 0282000004d2 03830001e240", {"power_1": 3000, "distance_2": 1.234, "energy_3": 123.456}),
        ("0184010e 028565920080", {"direction_1": 270, "time_2": 1704067200}),
        ("0187ff8000 028e01", {"colour_1": {"r": 255, "g": 128, "b": 0}, "switch_2": 1}),
        ("0164ffffffff 017afffc18", {"generic_1": 4294967295, "load_1": -1}),
        ("", {}),
    ],
)
async def test_documented_types(payload: str, data: dict[str, Any]) -> None:
    """Each type has the name that The Things Stack gives it, its unit and its sign."""
    assert await decoded(payload) == Decoded(data)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("016700ff 01", "The record at byte 4 has no type."),
        ("016700ff 0199", "The record at byte 4 has type 153, which is unknown."),
        ("016700", "The payload ends within the temperature of channel 1."),
        ("018806765ff2960a", "The payload ends within the gps of channel 1."),
    ],
)
async def test_what_cannot_be_read_is_refused(payload: str, words: str) -> None:
    """After a record that nobody knows the rest means nothing, so the whole frame is refused."""
    assert await decoded(payload) == Refusal(Reason.CODEC_FAILED, words)


async def test_every_type_is_read_to_its_end() -> None:
    """A payload with one record of each type is decoded whole."""
    payload = "".join(f"07{number:02x}{'01' * kind.size * len(kind.divisors)}" for number, kind in TYPES.items())
    result = await decoded(payload)
    assert isinstance(result, Decoded)
    assert list(result.data) == [f"{kind.name}_7" for kind in TYPES.values()]
