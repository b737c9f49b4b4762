"""Concentrations of particles and gases in outdoor air, at 20 °C and 1013.25 hPa (2008/50/EC, annex VI)."""

from usp.models.dataset import Dataset, Property

AIR_QUALITY = Dataset(
    name="air_quality",
    title="Air quality",
    description="Particulate matter and gases in outdoor air, measured on smart lampposts.",
    properties=(
        Property(name="pm1", title="Particles below 1 µm", unit="µg/m³", low=0, high=1000),
        Property(name="pm2_5", title="Particles below 2.5 µm", unit="µg/m³", low=0, high=1000),
        Property(name="pm10", title="Particles below 10 µm", unit="µg/m³", low=0, high=1000),
        Property(name="no", title="Nitrogen monoxide", unit="µg/m³", low=0, high=1000),
        Property(name="no2", title="Nitrogen dioxide", unit="µg/m³", low=0, high=1000),
        Property(name="o3", title="Ozone", unit="µg/m³", low=0, high=1000),
        Property(name="so2", title="Sulphur dioxide", unit="µg/m³", low=0, high=1000),
        Property(name="co", title="Carbon monoxide", unit="mg/m³", low=0, high=100),
        Property(name="co2", title="Carbon dioxide", unit="ppm", low=250, high=10000),
    ),
)
