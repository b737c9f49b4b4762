"""Electricity, heat, gas and water of buildings (SEMS). Import is what the building takes from the grid."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType


def _register(name: str, title: str, unit: str) -> Property:
    return Property(name=name, title=title, unit=unit, type=ValueType.DOUBLE, aggregation=Aggregation.COUNTER)


def _mean(name: str, title: str, unit: str | None, low: float, high: float) -> Property:
    return Property(name=name, title=title, unit=unit, low=low, high=high)


ENERGY = Dataset(
    name="energy",
    title="Energy of buildings",
    description="Power, energy registers and grid values of buildings' main, common and photovoltaic meters.",
    properties=(
        _mean("active_power", "Active power", "W", -10_000_000, 10_000_000),
        _register("energy_import", "Imported energy register", "kWh"),
        _register("energy_export", "Exported energy register", "kWh"),
        _mean("reactive_power", "Reactive power", "var", -10_000_000, 10_000_000),
        _mean("voltage", "Voltage", "V", 0, 1000),
        _mean("voltage_l1", "Voltage of phase 1", "V", 0, 1000),
        _mean("voltage_l2", "Voltage of phase 2", "V", 0, 1000),
        _mean("voltage_l3", "Voltage of phase 3", "V", 0, 1000),
        _mean("current", "Current", "A", 0, 10000),
        _mean("current_l1", "Current of phase 1", "A", 0, 10000),
        _mean("current_l2", "Current of phase 2", "A", 0, 10000),
        _mean("current_l3", "Current of phase 3", "A", 0, 10000),
        _mean("power_factor", "Power factor", None, -1, 1),
        _mean("frequency", "Frequency", "Hz", 45, 65),
        _register("heat", "Heat register", "kWh"),
        _register("gas", "Gas register", "m³"),
        _register("water", "Water register", "m³"),
    ),
)
