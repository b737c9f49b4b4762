"""State and consumption of a luminaire."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType

LIGHTING = Dataset(
    name="lighting",
    title="Street lighting",
    description="State, dimming and consumption of the luminaires of smart lampposts.",
    properties=(
        Property(name="lit", title="Lit", type=ValueType.BOOLEAN, aggregation=Aggregation.STATE),
        Property(name="dimming", title="Dimming level", unit="%", low=0, high=100),
        Property(name="power", title="Power", unit="W", low=0, high=2000),
        Property(
            name="energy",
            title="Energy register",
            unit="kWh",
            type=ValueType.DOUBLE,
            aggregation=Aggregation.COUNTER,
        ),
    ),
)
