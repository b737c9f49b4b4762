"""DeviceProfile: how the fields a device model sends map to properties, in which units and at which interval."""

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from usp.models.device import KINDS, native_profile
from usp.models.profile_rules import mistakes

#: A state that is not repeated is believed for at most this long: a day, and an hour for the clock change.
DEFAULT_MAX_HOLD = 25 * 3600.0

#: A value as JSON can carry it.
Plain = str | int | float | bool


class TimestampSide(StrEnum):
    """Which side of its measuring interval a device stamps."""

    START = "start"
    END = "end"


def written(value: object) -> str:
    """How a sent value is written among a profile's `values`: as in JSON, and 1.0 as 1.

    Numbers in ChirpStack's JSON are all reals: a state 1 arrives as 1.0.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _custom(text: str) -> PydanticCustomError:
    return PydanticCustomError("profile", "{text}", {"text": text})


def _full_form(value: object) -> object:
    return {"property": value} if isinstance(value, str) else value


def _keys_as_text(value: object) -> object:
    if not isinstance(value, dict):
        return value
    keys = [written(key) for key in value]
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None:
        raise _custom(f"{twice} is there twice: a number and the same in quotes are one")
    return dict(zip(keys, value.values(), strict=True))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _state(value: object) -> object:
    if not isinstance(value, str | bool):
        raise _custom(f"expected true, false or one of the property's states, got {value!r}")
    return value


def _sentinel(value: object) -> object:
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise _custom(f"expected a value as the device sends it, got {value!r}; null is no value anyway")
    return value


_Missing = Annotated[
    tuple[Annotated[Plain, BeforeValidator(_sentinel)], ...],
    BeforeValidator(_as_list, json_schema_input_type=Plain | list[Plain]),
    Field(strict=False),
]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FieldMap(_Strict):
    """One payload field: the property it becomes, the unit it is sent in, and a linear correction before that."""

    property: str = Field(description="The property it becomes; `dataset.property` where the name alone is not clear.")
    unit: str | None = Field(
        default=None, description="The unit it is sent in, if not the property's own: degF, kPa, Wh, mph."
    )
    scale: _Number = Field(default=1.0, description="What the value is multiplied by, before anything else.")
    offset: _Number = Field(default=0.0, description="What is added then, in the unit it is sent in.")
    values: Annotated[
        dict[str, Annotated[str | bool, BeforeValidator(_state, json_schema_input_type=str | bool)]],
        BeforeValidator(_keys_as_text, json_schema_input_type=dict[str, str | bool]),
    ] = Field(default_factory=dict, description="For states: what is sent, and what it means.")
    missing: _Missing = Field(default=(), description="Values, as they are sent, that mean that there is none.")
    parse: bool = Field(
        default=False, description="Whether a number that comes as text is read: true where a device sends '23.5'."
    )


class Register(_Strict):
    """A cumulative register."""

    modulus: _Positive = Field(description="The value at which the register rolls over to 0, in the property's unit.")


class PartRule(_Strict):
    """Where a part of the device, a device of its own, is found in what is sent, and what it is called."""

    path: str | None = Field(
        default=None, description="Where it is: an object, or `[*]` at the end for each of an array, `.*` of an object."
    )
    prefix: str | None = Field(
        default=None, description="Instead of `path`: how its fields begin; `{index}` in it is a number."
    )
    name: str = Field(description="Ends its name; with `{index}` (from 1), `{key}`, or `{field}` of the part itself.")


class DeviceProfile(_Strict):
    """What is common to all devices of one model.

    `interval` is the time between two reports, and the length of a measuring interval, in seconds; without it the
    device reports on change. `zone` is the time zone of times sent without an offset. `max_hold` is how long a
    state holds without a further message, in seconds.
    """

    name: str = Field(description="Its name, which is the file's too: a-z, 0-9 and -.")
    title: str = Field(description="What people call the device model.")
    kind: str = Field(description="The kind of device; it decides which properties there are.")
    codec: str | None = Field(
        default=None,
        description="Decodes payload bytes: `cayenne_lpp`, or a file beside the profile, such as `acme.js`.",
    )
    interval: Annotated[float, Field(gt=0, le=86400)] | None = Field(
        default=None, description="Seconds between two reports; left out for a device that reports changes."
    )
    timestamp: Annotated[TimestampSide, Field(strict=False)] = Field(
        default=TimestampSide.END, description="Which side of its measuring interval the device stamps."
    )
    time: str | None = Field(
        default=None, description="The field that holds the measuring time; without it an uplink has the network's."
    )
    zone: str | None = Field(default=None, description="The time zone of times without an offset, such as Europe/Rome.")
    max_hold: _Positive = Field(
        default=DEFAULT_MAX_HOLD, description="Seconds for which a state is believed without a message."
    )
    missing: _Missing = Field(default=(), description="Values of any field that mean that there is none.")
    fields: Annotated[
        dict[str, Annotated[FieldMap, BeforeValidator(_full_form, json_schema_input_type=str | FieldMap)]],
        BeforeValidator(_keys_as_text, json_schema_input_type=dict[str, str | FieldMap]),
    ] = Field(default_factory=dict, description="Field as it is sent, or path to it, and the property it becomes.")
    registers: dict[str, Register] = Field(
        default_factory=dict, description="Properties that count up, and where they roll over."
    )
    children: Annotated[tuple[PartRule, ...], Field(strict=False)] = Field(
        default=(), description="Parts that are devices of their own: lanes, connectors, flats."
    )
    version: Literal[1] = Field(default=1, description="The version of this form.")

    @model_validator(mode="after")
    def _makes_sense(self) -> "DeviceProfile":
        found = [InitErrorDetails(type=_custom(text), loc=place, input=None) for place, text in mistakes(self)]
        if found:
            raise ValidationError.from_exception_data(type(self).__name__, found)
        return self


def default_profile(kind: str) -> DeviceProfile:
    """The profile of a device that sends the vocabulary's own names and units."""
    return DeviceProfile(
        name=native_profile(kind), title=f"{KINDS[kind].title}, in the platform's own words", kind=kind
    )
