"""State and delivery of charging points. States are OCPP 1.6's, with both suspensions as one."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType, Visibility

CHARGING = Dataset(
    name="charging",
    title="Electric vehicle charging",
    description="Status, power and delivered energy of charging points.",
    properties=(
        Property(
            name="status",
            title="Status",
            type=ValueType.TEXT,
            aggregation=Aggregation.STATE,
            states=(
                "available",
                "preparing",
                "charging",
                "suspended",
                "finishing",
                "reserved",
                "unavailable",
                "faulted",
            ),
        ),
        Property(name="power", title="Power", unit="W", low=0, high=400000),
        Property(
            name="energy",
            title="Energy register",
            unit="kWh",
            type=ValueType.DOUBLE,
            aggregation=Aggregation.COUNTER,
        ),
        Property(
            name="session_energy",
            title="Energy of the running session",
            unit="kWh",
            low=0,
            high=500,
            aggregation=Aggregation.LAST,
        ),
        Property(name="current", title="Current", unit="A", low=0, high=1000),
        Property(name="voltage", title="Voltage", unit="V", low=0, high=1000),
        # A battery's level tells about one driver.
        Property(
            name="soc",
            title="State of charge of the vehicle",
            unit="%",
            low=0,
            high=100,
            aggregation=Aggregation.LAST,
            visibility=Visibility.RESTRICTED,
        ),
    ),
)
