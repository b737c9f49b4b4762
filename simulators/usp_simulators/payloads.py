"""Payload bytes, as sensors with LoRaWAN put them on the air: the inverse of the codecs that are shipped.

    port, payload = ENCODERS["elsys.js"]({"temperature": 21.5, "humidity": 40})

Values go by the names that the codecs give them; where a codec puts value and unit into an object, by its name alone.
Written from the vendors' documents, as the codecs are, and not from the codecs: each checks the other.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Encoder = Callable[[Values], tuple[int, bytes]]

_CAUSES = ("", "watchdog", "power on", "system request", "other")


def bosch_tps110(values: Values) -> tuple[int, bytes]:
    """Bosch TPS110: three kinds of messages, each on a port of its own (Communication Interface, rev. 1)."""
    occupied = bytes([values["occupied"]])
    match values["type"]:
        case "parking status":
            return 1, occupied
        case "heartbeat":
            return 2, occupied + struct.pack("b", values["temperature"])
    codes = [*values["debugCodes"], 0, 0, 0][:3]
    version = bytes(map(int, values["firmwareVersion"].split(".")))
    return 3, struct.pack("<3I", *codes) + version + bytes([_CAUSES.index(values["resetCause"])]) + occupied


#: Type byte, how the values are packed, what they are multiplied by, and their names (Sensor payload, table of types).
_ELSYS: tuple[tuple[int, str, int, tuple[str, ...]], ...] = (
    (0x01, ">h", 10, ("temperature",)),
    (0x02, ">B", 1, ("humidity",)),
    (0x03, ">bbb", 1, ("x", "y", "z")),
    (0x04, ">H", 1, ("light",)),
    (0x05, ">B", 1, ("motion",)),
    (0x06, ">H", 1, ("co2",)),
    (0x07, ">H", 1, ("vdd",)),
    (0x0A, ">H", 1, ("pulse1",)),
    (0x0B, ">I", 1, ("pulseAbs",)),
    (0x0C, ">h", 10, ("externalTemperature",)),
    (0x0E, ">H", 1, ("distance",)),
    (0x10, ">hh", 10, ("irInternalTemperature", "irExternalTemperature")),
    (0x11, ">B", 1, ("occupancy",)),
    (0x14, ">I", 1000, ("pressure",)),
    (0x15, ">BB", 1, ("soundPeak", "soundAvg")),
)


def elsys(values: Values) -> tuple[int, bytes]:
    """ELSYS ERS and its relatives: a type byte and its values, one after the other, on port 5."""
    payload = b""
    for code, form, times, names in _ELSYS:
        if names[0] in values:
            payload += bytes([code]) + struct.pack(form, *(round(values[name] * times) for name in names))
    return 5, payload


#: What each flag announces: the names, and what makes the 16 bits sent of each value (DL-PM Datasheet, sensor data).
PARTICLES = (
    *(f"pm{size}_mass_concentration" for size in ("1_0", "2_5", "4", "10")),
    "typical_particle_size",
    *(f"pm{size}_number_concentration" for size in ("0_5", "1_0", "2_5", "4", "10")),
)
_DECENTLAB: tuple[dict[str, Callable[[float], float]], ...] = (
    {"battery_voltage": lambda volts: volts * 1000},
    {name: (float if name == "typical_particle_size" else lambda value: value * 10) for name in PARTICLES},
    {
        # As the sensor inside (SHT21) does it.
        "air_temperature": lambda celsius: (celsius + 46.85) / 175.72 * 65536,
        "air_humidity": lambda percent: (percent + 6) / 125 * 65536,
    },
    {"barometric_pressure": lambda pascal: pascal / 2},
)


def decentlab_dl_pm(values: Values) -> tuple[int, bytes]:
    """Decentlab DL-PM: a header with a flag for each sensor, and what these have measured, on port 1."""
    flags, words = 0, []
    for number, sensor in enumerate(_DECENTLAB):
        if next(iter(sensor)) in values:
            flags |= 1 << number
            words += [round(raw(values[name])) for name, raw in sensor.items()]
    return 1, struct.pack(f">BHH{len(words)}H", 2, values["device_id"], flags, *words)


#: Number, how the value is packed, what it is multiplied by (value numbers published with "profii-lp").
_EMU: dict[str, tuple[int, str, int]] = {
    "data-logger-index": (0x00, "<I", 1),
    "ActiveEnergyImportT1": (0x03, "<I", 1),
    "ActiveEnergyExportT1": (0x05, "<I", 1),
    "ReactiveEnergyImportT1": (0x07, "<I", 1),
    "ActivePowerL123": (0x0B, "<i", 1),
    "CurrentL123": (0x0F, "<i", 1),
    "CurrentL1": (0x10, "<i", 1),
    "CurrentL2": (0x11, "<i", 1),
    "CurrentL3": (0x12, "<i", 1),
    "VoltageL1-N": (0x14, "<i", 10),
    "VoltageL2-N": (0x15, "<i", 10),
    "VoltageL3-N": (0x16, "<i", 10),
    "PowerfactorL1": (0x17, "<b", 100),
    "Frequency": (0x1A, "<h", 10),
    "errorcode": (0xF0, "<B", 1),
}


def emu_professional_ii(values: Values) -> tuple[int, bytes]:
    """EMU Professional II: the record's time, numbers with their values, and a CRC-8 over all of it, on port 1."""
    payload = struct.pack("<I", values["timeStamp"])
    for name, value in values.items():
        if name != "timeStamp":
            number, form, times = _EMU[name]
            payload += bytes([number]) + struct.pack(form, round(value * times))
    return 1, payload + bytes([_crc8(payload)])


def _crc8(payload: bytes) -> int:
    """CRC-8 with the polynomial 0x07, the highest bit first."""
    crc = 0
    for byte in payload:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107) if crc & 0x80 else crc << 1
    return crc


#: The encoder of each shipped codec.
ENCODERS: dict[str, Encoder] = {
    "bosch-tps110.js": bosch_tps110,
    "decentlab-dl-pm.js": decentlab_dl_pm,
    "elsys.js": elsys,
    "emu-professional-ii.js": emu_professional_ii,
}
