"""Weather at the height of a lamppost."""

from usp.models.dataset import Aggregation, Dataset, Property

WEATHER = Dataset(
    name="weather",
    title="Weather",
    description="Temperature, humidity, pressure, wind, rain and light, measured on smart lampposts.",
    properties=(
        Property(name="temperature", title="Air temperature", unit="°C", low=-40, high=60),
        Property(name="humidity", title="Relative humidity", unit="%", low=0, high=100),
        Property(name="pressure", title="Atmospheric pressure", unit="hPa", low=600, high=1100),
        Property(name="wind_speed", title="Wind speed", unit="m/s", low=0, high=75),
        # 0 and 360 are both north; the direction is the one the wind comes from.
        Property(
            name="wind_direction",
            title="Wind direction",
            unit="°",
            low=0,
            high=360,
            aggregation=Aggregation.VECTOR_MEAN,
        ),
        # What fell during an interval belongs to the interval's start.
        Property(
            name="rainfall",
            title="Rainfall",
            unit="mm",
            low=0,
            high=100,
            aggregation=Aggregation.SUM,
            at_interval_start=True,
        ),
        Property(name="illuminance", title="Illuminance", unit="lx", low=0, high=200000),
    ),
)
