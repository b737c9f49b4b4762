"""Units of measurement: what a profile's `unit` does to a value, resolved once when the profile is loaded."""

import warnings
from functools import cache
from typing import Any

from usp.models.dataset import Property

#: What the vocabulary's unit symbols are called in pint, where the names differ.
_PINT = {
    "µg/m³": "microgram/meter**3",
    "mg/m³": "milligram/meter**3",
    "°C": "degC",
    "°F": "degF",
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

#: What people write for a property's unit and pint would take for something else, or for nothing.
_MEANT = {"C": "degC", "F": "degF", "Celsius": "degC", "kW/h": "kWh", "KWH": "kWh", "kwh": "kWh", "l": "liter"}

#: Units to suggest, by the property's own; a sensor's data sheet names one of these.
EXAMPLES = {
    "µg/m³": "µg/m³, mg/m³, ng/m³; for ppb leave `unit` out and set `scale` to the gas's µg/m³ of 1 ppb",
    "mg/m³": "mg/m³, µg/m³; for ppm leave `unit` out and set `scale` to the gas's mg/m³ of 1 ppm",
    "°C": "degC, degF, K",
    "%": "%, dimensionless (0 to 1)",
    "ppm": "ppm, ppb, %",
    "hPa": "hPa, Pa, kPa, mbar, mmHg",
    "m/s": "m/s, km/h, mph, knot",
    "km/h": "km/h, m/s, mph",
    "°": "degree, radian",
    "mm": "mm, cm, m, inch",
    "lx": "lx, klx",
    "W": "W, kW, MW",
    "var": "var, kvar",
    "kWh": "kWh, Wh, MWh, J, MJ, GJ",
    "m³": "m³, liter",
    "V": "V, mV, kV",
    "A": "A, mA",
    "Hz": "Hz, mHz",
    "byte": "byte, kB, MB, bit",
}


def unit_conversion(unit: str, prop: Property) -> tuple[float, float]:
    """(factor, offset) that take a value in `unit` to the property's unit. Raises ValueError where none do."""
    if unit == prop.unit:
        return 1.0, 0.0
    import pint  # noqa: PLC0415 - slow to import, and only profiles with foreign units need it

    registry = _unit_registry()
    try:
        target = _PINT.get(prop.unit, prop.unit) or "dimensionless"
        # Where there is NumPy, pint takes its logarithm: of 0 that is -inf, and a warning.
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            zero, one, hundred = (
                float(registry.Quantity(value, _PINT.get(unit, unit)).to(target).magnitude)
                for value in (0.0, 1.0, 100.0)
            )
    except (pint.errors.PintError, AttributeError, ValueError, TypeError, ArithmeticError):
        raise ValueError(_no_conversion(unit, prop)) from None
    factor = one if zero == 0 else (hundred - zero) / 100.0
    # A logarithmic unit (mW to dBm) is no factor.
    if not abs(zero + factor - one) <= 1e-9 * (abs(zero) + abs(one)):
        raise ValueError(_no_conversion(unit, prop))
    # pint's own factors carry rounding in the last digit: a liter is 0.0010000000000000002 m³ there.
    return float(f"{factor:.15g}"), float(f"{zero:.15g}")


def _no_conversion(unit: str, prop: Property) -> str:
    wanted = f"{prop.name} is in {prop.unit}" if prop.unit else f"{prop.name} has no unit"
    examples = EXAMPLES.get(prop.unit or "", prop.unit or "dimensionless")
    meant = _MEANT.get(unit)
    hint = f"did you mean {meant}?" if meant and meant in examples.split(", ") else f"these would do: {examples}"
    return f"{unit!r} cannot become the property's unit ({wanted}); {hint}"


@cache
def _unit_registry() -> Any:
    import pint  # noqa: PLC0415

    registry: Any = pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)
    registry.define("volt_ampere_reactive = volt * ampere = var")
    registry.define("part_per_billion = 1e-9 = ppb")
    return registry
