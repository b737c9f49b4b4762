"""What the LoRaWAN sensors of the shipped profiles measure, and the rows that ought to become of it.

Values are such as a sensor can send, so that what is expected is exact. The rows are written out by hand, from the
profiles' and the vendors' documents: a test that compares what is stored with this must not share the platform's idea.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from usp_simulators.message import Row
from usp_simulators.payloads import ENCODERS, PARTICLES, Values

#: What a sensor that measures all the time sends in one message, in seconds.
INTERVAL = 600
_INTERVAL = timedelta(seconds=INTERVAL)


class Sensor(Protocol):
    """A device model, and what one device of it knows between two messages."""

    @property
    def profile(self) -> str:
        """The profile that it is registered with."""

    @property
    def kind(self) -> str:
        """The kind of device."""

    @property
    def codec(self) -> str:
        """The codec that reads its payloads."""

    @property
    def maker(self) -> tuple[str, str]:
        """Brand and model, as The Things Stack's device repository calls them."""

    def measure(self, rng: Random, at: int) -> dict[str, Any]:
        """The values of a message, by the codec's names."""

    def fields(self, values: Values) -> dict[str, Any]:
        """What a network server with the vendor's codec decodes of them."""

    def rows(self, values: Values, time: datetime, clock: int) -> list[Row]:
        """The rows that they ought to become at the uplink's time, and whose clock that is."""

    def unmapped(self, values: Values) -> tuple[str, ...]:
        """The fields of which the profile knows nothing."""


def payload(sensor: Sensor, values: Values) -> tuple[int, bytes]:
    """Port and bytes of a message."""
    return ENCODERS[sensor.codec](values)


class ParkingSensor:
    """Bosch TPS110."""

    profile, kind, codec, maker = "bosch-tps110", "parking_sensor", "bosch-tps110.js", ("bosch", "tps110-eu")

    def __init__(self) -> None:
        self._occupied = False
        self._started = False

    def measure(self, rng: Random, at: int) -> dict[str, Any]:  # noqa: ARG002 - cars come at any time
        """It says once that it has started, and then when somebody comes or goes, or that it is still there."""
        if not self._started:
            self._started = True
            found: dict[str, Any] = {"type": "startup", "debugCodes": [0x10 + rng.randrange(9)]}
            return found | {"firmwareVersion": "0.29.4", "resetCause": "power on", "occupied": self._occupied}
        if rng.random() < 0.2:
            return {"type": "heartbeat", "occupied": self._occupied, "temperature": rng.randrange(-9, 40)}
        self._occupied = not self._occupied
        return {"type": "parking status", "occupied": self._occupied}

    def fields(self, values: Values) -> dict[str, Any]:
        """As they are."""
        return dict(values)

    def rows(self, values: Values, time: datetime, clock: int) -> list[Row]:
        """Whether the bay is occupied."""
        return [Row("parking", time, {"occupied": values["occupied"]}, clock=clock)]

    def unmapped(self, values: Values) -> tuple[str, ...]:
        """Everything but that."""
        return tuple(name for name in values if name != "occupied")


class SoundSensor:
    """ELSYS ERS Sound."""

    profile, kind, codec, maker = "elsys-ers-sound", "lamppost", "elsys.js", ("elsys", "ers-sound")

    def measure(self, rng: Random, at: int) -> dict[str, Any]:  # noqa: ARG002 - the hour does not matter
        """Climate and sound; now and then too warm to be true, or without a level of sound."""
        level = rng.randrange(38, 78) if rng.random() > 0.05 else 0
        tenths = rng.randrange(-50, 380) if rng.random() > 0.02 else rng.randrange(601, 900)
        return {
            "temperature": tenths / 10,
            "humidity": rng.randrange(20, 99),
            "light": rng.randrange(65_000),
            "vdd": rng.randrange(3200, 3690),
            "soundPeak": level + rng.randrange(3, 40) if level else 0,
            "soundAvg": level,
        }

    def fields(self, values: Values) -> dict[str, Any]:
        """As they are."""
        return dict(values)

    def rows(self, values: Values, time: datetime, clock: int) -> list[Row]:
        """Weather, noise since the last message, and the battery. 0 dB is no reading."""
        weather = {"temperature": values["temperature"], "humidity": values["humidity"], "illuminance": values["light"]}
        flagged = ("temperature",) if values["temperature"] > 60 else ()
        rows = [
            Row("weather", time, weather, flagged=flagged, clock=clock),
            Row("device_health", time, {"battery_voltage": values["vdd"] / 1000}, clock=clock),
        ]
        if values["soundAvg"]:
            noise = {"lafmax": values["soundPeak"], "laeq": values["soundAvg"]}
            rows.append(Row("noise", time - _INTERVAL, noise, INTERVAL, clock=clock))
        return rows

    def unmapped(self, values: Values) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing."""
        return ()


class ParticleSensor:
    """Decentlab DL-PM."""

    profile, kind, codec, maker = "decentlab-dl-pm", "lamppost", "decentlab-dl-pm.js", ("decentlab", "dl-pm")

    def __init__(self, number: int) -> None:
        self._number = number % 65_536

    def measure(self, rng: Random, at: int) -> dict[str, Any]:  # noqa: ARG002 - the hour does not matter
        """Particles, unless their supply has failed, and the air around."""
        values: dict[str, Any] = {"device_id": self._number, "battery_voltage": rng.randrange(2700, 3300) / 1000}
        if rng.random() > 0.1:
            values |= {name: rng.randrange(1, 900) / 10 for name in PARTICLES}
            values["typical_particle_size"] = rng.randrange(400, 900)
        return values | {
            "air_temperature": 175.72 * rng.randrange(15_600, 31_000) / 65536 - 46.85,
            "air_humidity": 125 * rng.randrange(14_000, 54_000) / 65536 - 6,
            "barometric_pressure": 2 * rng.randrange(49_000, 51_500),
        }

    def fields(self, values: Values) -> dict[str, Any]:
        """Each value with its name and unit."""
        found: dict[str, Any] = {"protocol_version": 2, "device_id": values["device_id"]}
        for name, value in values.items():
            if name != "device_id":
                found[name] = {"displayName": name.replace("_", " "), "value": value, "unit": "..."}
        return found

    def rows(self, values: Values, time: datetime, clock: int) -> list[Row]:
        """Air quality, weather and the battery."""
        weather = {
            "temperature": values["air_temperature"],
            "humidity": values["air_humidity"],
            "pressure": values["barometric_pressure"] / 100,
        }
        rows = [
            Row("weather", time, weather, clock=clock),
            Row("device_health", time, {"battery_voltage": values["battery_voltage"]}, clock=clock),
        ]
        if "pm10_mass_concentration" in values:
            sizes = {"pm1": "1_0", "pm2_5": "2_5", "pm10": "10"}
            air = {name: values[f"pm{size}_mass_concentration"] for name, size in sizes.items()}
            rows.append(Row("air_quality", time, air, clock=clock))
        return rows

    def unmapped(self, values: Values) -> tuple[str, ...]:
        """Counts and sizes of particles, and who speaks."""
        more = [name for name in PARTICLES if name in values and name not in _MASSES]
        return ("protocol_version", "device_id", *more)


_MASSES = {f"pm{size}_mass_concentration" for size in ("1_0", "2_5", "10")}


class Meter:
    """EMU Professional II."""

    profile, kind, codec = "emu-professional-ii", "energy_meter", "emu-professional-ii.js"
    maker = ("emu", "profii-lp")

    def __init__(self, number: int) -> None:
        # It counts 8 pulses a kWh.
        self._imported, self._exported = 125 * (number * 7919 % 100_000), 125 * number

    def measure(self, rng: Random, at: int) -> dict[str, Any]:
        """Registers and what flows now, as logged some seconds before it is sent."""
        self._imported += 125 * rng.randrange(40)
        self._exported += 125 * rng.randrange(3)
        currents = {f"CurrentL{line}": rng.randrange(60_000) for line in (1, 2, 3)}
        return {
            "timeStamp": at - rng.randrange(2, 9),
            "ActiveEnergyImportT1": self._imported,
            "ActiveEnergyExportT1": self._exported,
            "ActivePowerL123": rng.randrange(-9_000, 40_000),
            "CurrentL123": sum(currents.values()),
            **currents,
            **{f"VoltageL{line}-N": rng.randrange(2_250, 2_360) / 10 for line in (1, 2, 3)},
            "Frequency": rng.randrange(499, 502) / 10,
        }

    def fields(self, values: Values) -> dict[str, Any]:
        """Each value in an object of its own."""
        found: dict[str, Any] = {"timeStamp": values["timeStamp"], "medium": {"type": 1, "desc": "Electricity"}}
        return found | {name: {"value": value} for name, value in values.items() if name != "timeStamp"}

    def rows(self, values: Values, time: datetime, clock: int) -> list[Row]:  # noqa: ARG002 - it has a clock of its own
        """One row, at the time of the meter's record."""
        energy = {
            "energy_import": values["ActiveEnergyImportT1"] / 1000,
            "energy_export": values["ActiveEnergyExportT1"] / 1000,
            "active_power": values["ActivePowerL123"],
            "current": values["CurrentL123"] / 1000,
            **{f"current_l{line}": values[f"CurrentL{line}"] / 1000 for line in (1, 2, 3)},
            **{f"voltage_l{line}": values[f"VoltageL{line}-N"] for line in (1, 2, 3)},
            "frequency": values["Frequency"],
        }
        return [Row("energy", datetime.fromtimestamp(values["timeStamp"], UTC), energy)]

    def unmapped(self, values: Values) -> tuple[str, ...]:  # noqa: ARG002
        """The medium, which is always electricity."""
        return ("medium",)


def sensor(number: int) -> Sensor:
    """The n-th sensor of a fleet: the models take turns."""
    match number % 4:
        case 0:
            return ParkingSensor()
        case 1:
            return SoundSensor()
        case 2:
            return ParticleSensor(number)
    return Meter(number)
