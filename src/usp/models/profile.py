"""DeviceProfile: how the fields a device model sends map to properties, in which units and at which interval."""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from usp.errors import ProfileError
from usp.models.dataset import Property, ValueType
from usp.models.device import IDENTIFIER, KINDS, native_fields, native_profile

#: What the vocabulary's unit symbols are called in pint, where the names differ.
_PINT = {
    "µg/m³": "microgram/meter**3",
    "mg/m³": "milligram/meter**3",
    "°C": "degC",
    "%": "percent",
    "°": "degree",
    "lx": "lux",
    "dB(A)": "decibel",
    "dB": "decibel",
    "dBm": "decibelmilliwatt",
    "m³": "meter**3",
    "count": "dimensionless",
    "count per interval": "dimensionless",
    None: "dimensionless",
}

#: A state that is not repeated is believed for at most this long: a day, and an hour for the clock change.
DEFAULT_MAX_HOLD = 25 * 3600.0


class TimestampSide(StrEnum):
    """Which side of its measuring interval a device stamps."""

    START = "start"
    END = "end"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldMap(_Strict):
    """One payload field: the property it becomes, the unit it is sent in, and a linear correction before that."""

    property: str
    unit: str | None = None
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    values: dict[str, str | bool] = Field(default_factory=dict)


class Register(_Strict):
    """A cumulative register: `modulus` is the value at which it rolls over to 0, in the property's unit."""

    modulus: Annotated[float, Field(gt=0)]


class DeviceProfile(_Strict):
    """What is common to all devices of one model.

    `interval` is the time between two reports, and the length of a measuring interval, in seconds; without it the
    device reports on change. `zone` is the time zone of times sent without an offset. `max_hold` is how long a
    state holds without a further message, in seconds.
    """

    name: str
    title: str
    kind: str
    interval: Annotated[float, Field(gt=0, le=86400)] | None = None
    timestamp: TimestampSide = TimestampSide.END
    zone: str | None = None
    max_hold: Annotated[float, Field(gt=0)] = DEFAULT_MAX_HOLD
    registers: dict[str, Register] = Field(default_factory=dict)
    fields: dict[str, FieldMap] = Field(default_factory=dict)
    version: Literal[1] = 1

    @field_validator("name")
    @classmethod
    def _name_is_identifier(cls, name: str) -> str:
        if IDENTIFIER.fullmatch(name) is None:
            raise ValueError("is no identifier: 2 to 63 of a-z, 0-9 and '-'")
        return name

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"{zone!r} is no time zone; Europe/Rome is one") from None
        return zone

    @model_validator(mode="after")
    def _maps_to_its_kind(self) -> "DeviceProfile":
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")
        known = native_fields(self.kind)
        targets = [(f"fields.{name}", m.property) for name, m in self.fields.items()]
        for where, name in [*targets, *((f"registers.{n}", n) for n in self.registers)]:
            if name not in known:
                raise ValueError(f"{where}: {name!r} is no property of a {self.kind}")
        for name, mapping in self.fields.items():
            _check_field(name, mapping, known[mapping.property][1])
        return self


def _check_field(name: str, mapping: FieldMap, prop: Property) -> None:
    """Refuse a mapping by which no value could ever be stored."""
    numeric = prop.type in {ValueType.REAL, ValueType.DOUBLE}
    if numeric and mapping.values:
        raise ValueError(f"fields.{name}.values: {prop.name} is a number; values are for states and booleans")
    if not numeric and (mapping.unit is not None or mapping.scale != 1.0 or mapping.offset != 0.0):
        raise ValueError(f"fields.{name}: {prop.name} is no number; unit, scale and offset do not apply")
    if mapping.unit is not None:
        unit_conversion(mapping.unit, prop, name)
    for value in mapping.values.values():
        if prop.type is ValueType.BOOLEAN and not isinstance(value, bool):
            raise ValueError(f"fields.{name}.values: {value!r} is neither true nor false")
        if prop.states and value not in prop.states:
            raise ValueError(f"fields.{name}.values: {value!r} is none of {', '.join(prop.states)}")


def parse_profile(document: Any, source: str) -> DeviceProfile:
    """Check a decoded profile document; the error names its source and every mistake in it."""
    try:
        return DeviceProfile.model_validate(document)
    except ValidationError as error:
        mistakes = "; ".join(
            ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))))
            for e in error.errors()
        )
        raise ProfileError(f"{source}: {mistakes}.") from None


def unit_conversion(unit: str, prop: Property, field: str) -> tuple[float, float]:
    """(factor, offset) that take a value in `unit` to the property's unit; units are resolved once, at load."""
    import pint  # noqa: PLC0415 - slow to import, and only profiles with foreign units need it

    registry = _unit_registry()
    try:
        target = _PINT.get(prop.unit, prop.unit) or "dimensionless"
        zero = registry.Quantity(0.0, unit).to(target).magnitude
        hundred = registry.Quantity(100.0, unit).to(target).magnitude
    except (pint.errors.PintError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f"fields.{field}.unit: {unit!r} cannot become {prop.name}'s {prop.unit or 'plain number'} ({error})"
        ) from None
    return (hundred - zero) / 100.0, zero


@cache
def _unit_registry() -> Any:
    import pint  # noqa: PLC0415

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)


def default_profile(kind: str) -> DeviceProfile:
    """The profile of a device that sends the vocabulary's own names and units."""
    return DeviceProfile(
        name=native_profile(kind), title=f"{KINDS[kind].title}, in the platform's own words", kind=kind
    )
