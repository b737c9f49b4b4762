"""Counts of road users over measuring intervals, with mean speed and occupancy of the detector."""

from usp.models.dataset import Aggregation, Dataset, Property


def _count(name: str, title: str) -> Property:
    return Property(
        name=name,
        title=title,
        unit="count per interval",
        low=0,
        high=10000,
        aggregation=Aggregation.SUM,
    )


TRAFFIC = Dataset(
    name="traffic",
    title="Traffic",
    description="Road users counted over measuring intervals, with their mean speed.",
    interval=True,
    properties=(
        _count("vehicles", "Motor vehicles"),
        _count("cars", "Cars"),
        _count("heavy", "Heavy vehicles"),
        _count("motorcycles", "Motorcycles"),
        _count("bicycles", "Bicycles"),
        _count("pedestrians", "Pedestrians"),
        Property(
            name="speed",
            title="Mean speed",
            unit="km/h",
            low=0,
            high=250,
            aggregation=Aggregation.WEIGHTED_MEAN,
            weight="vehicles",
        ),
        Property(name="occupancy", title="Share of time the detector is occupied", unit="%", low=0, high=100),
    ),
)
