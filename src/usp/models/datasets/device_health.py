"""How the devices themselves are doing: battery and radio. For operators only."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType, Visibility

DEVICE_HEALTH = Dataset(
    name="device_health",
    title="Device health",
    description="Battery and radio of the devices themselves.",
    visibility=Visibility.OPS,
    properties=(
        Property(name="battery", title="Battery level", unit="%", low=0, high=100, aggregation=Aggregation.LAST),
        Property(
            name="battery_voltage",
            title="Battery voltage",
            unit="V",
            low=0,
            high=60,
            aggregation=Aggregation.LAST,
        ),
        Property(name="rssi", title="Received signal strength", unit="dBm", low=-200, high=30),
        Property(name="snr", title="Signal-to-noise ratio", unit="dB", low=-40, high=40),
        # A LoRaWAN counter has 32 bits, more than a real holds exactly.
        Property(
            name="frame_counter",
            title="Frame counter",
            unit="count",
            type=ValueType.DOUBLE,
            aggregation=Aggregation.LAST,
        ),
        Property(name="frames_lost", title="Frames lost by radio", unit="count", aggregation=Aggregation.SUM),
    ),
)
