"""Occupancy of single parking bays."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType

PARKING = Dataset(
    name="parking",
    title="Parking",
    description="Whether a parking bay is occupied, by sensors in logistics, disabled, no-parking and mobility areas.",
    properties=(Property(name="occupied", title="Occupied", type=ValueType.BOOLEAN, aggregation=Aggregation.STATE),),
)
