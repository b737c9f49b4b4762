"""Sound levels over measuring intervals (IEC 61672-1): LAeq, LAF extremes and statistical levels."""

from usp.models.dataset import Aggregation, Dataset, Property

NOISE = Dataset(
    name="noise",
    title="Noise",
    description="A-weighted sound levels over measuring intervals, measured on smart lampposts.",
    interval=True,
    properties=(
        Property(
            name="laeq",
            title="Equivalent continuous level",
            unit="dB(A)",
            low=20,
            high=140,
            aggregation=Aggregation.ENERGETIC_MEAN,
        ),
        Property(
            name="lafmax",
            title="Highest fast level",
            unit="dB(A)",
            low=20,
            high=140,
            aggregation=Aggregation.MAX,
        ),
        Property(
            name="lafmin",
            title="Lowest fast level",
            unit="dB(A)",
            low=20,
            high=140,
            aggregation=Aggregation.MIN,
        ),
        Property(name="la10", title="Level exceeded 10 % of the time", unit="dB(A)", low=20, high=140),
        Property(name="la50", title="Level exceeded 50 % of the time", unit="dB(A)", low=20, high=140),
        Property(name="la90", title="Level exceeded 90 % of the time", unit="dB(A)", low=20, high=140),
    ),
)
