"""Climate inside buildings."""

from usp.models.dataset import Dataset, Property

INDOOR_CLIMATE = Dataset(
    name="indoor_climate",
    title="Indoor climate",
    description="Temperature, humidity and carbon dioxide inside buildings.",
    properties=(
        Property(name="temperature", title="Air temperature", unit="°C", low=-40, high=60),
        Property(name="humidity", title="Relative humidity", unit="%", low=0, high=100),
        Property(name="co2", title="Carbon dioxide", unit="ppm", low=250, high=10000),
    ),
)
