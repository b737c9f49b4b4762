"""Use of public Wi-Fi. Small counts of people are bottom-coded where they enter, so nothing can reveal them later."""

from usp.models.dataset import Aggregation, Dataset, Property, ValueType

WIFI = Dataset(
    name="wifi",
    title="Public Wi-Fi",
    description="Clients and traffic of public Wi-Fi access points; fewer than 5 clients are stored as 0.",
    properties=(
        Property(name="clients", title="Connected clients", unit="count", low=0, high=100000, bottom_code=5),
        Property(
            name="rx_bytes",
            title="Bytes received",
            unit="byte",
            type=ValueType.DOUBLE,
            aggregation=Aggregation.COUNTER,
        ),
        Property(
            name="tx_bytes",
            title="Bytes sent",
            unit="byte",
            type=ValueType.DOUBLE,
            aggregation=Aggregation.COUNTER,
        ),
    ),
)
