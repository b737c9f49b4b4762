"""How the city's day goes: a value for each clock hour, the first for the hour from midnight."""


def _hours(text: str) -> tuple[float, ...]:
    values = tuple(float(value) for value in text.split())
    if len(values) != 24:
        raise ValueError(f"a day has 24 hours, not {len(values)}")
    return values


# Percent of a working day's vehicles that pass in each hour; and on a free day, percent of the same.
VEHICLES_WORK = _hours(
    "1.5 0.9 0.6 0.5 0.7 1.5 3.5 6.7 7.9 6.7 5.5 5.2 5.2 5.3 5.2 5.4 6.0 6.9 7.4 6.3 4.5 2.9 2.3 2.0"
)
VEHICLES_FREE = _hours(
    "2.4 1.9 1.4 1.0 0.8 0.9 1.3 1.9 2.8 3.7 4.3 4.6 4.5 4.1 3.9 4.0 4.3 4.6 4.8 4.5 3.8 3.1 2.9 2.6"
)

# Percent of the vehicles that are heavy.
HEAVY = _hours("2 2 3 4 7 9 9 8 7 8 9 9 8 7 7 7 6 4 3 3 2 2 2 2")

# People on foot, on bicycles, in the Wi-Fi: against a busy hour's 100.
WALKERS = _hours("4 2 1 1 1 3 12 45 62 40 38 48 75 80 55 46 50 66 80 72 50 34 22 10")
BICYCLES = _hours("2 1 1 0.5 1 3 14 50 78 44 22 20 26 30 24 22 32 62 80 56 30 18 10 5")
ONLINE = _hours("7 4 2 1 1 2 10 40 62 52 50 58 82 88 66 60 64 80 95 92 74 58 38 18")

# Power of flats and of common parts, heat and water, against the day's mean.
FLATS_WORK = _hours(
    "0.62 0.5 0.45 0.43 0.43 0.48 0.72 1.05 1.05 0.9 0.85 0.88 1.05 1.1 0.95 0.88 0.92 1.1 1.4 1.7 1.75 1.6 1.3 0.9"
)
FLATS_FREE = _hours(
    "0.72 0.58 0.5 0.46 0.45 0.46 0.55 0.75 1.0 1.15 1.2 1.3 1.4 1.3 1.1 1.0 1.05 1.2 1.4 1.65 1.7 1.55 1.3 0.95"
)
COMMON = _hours("0.55 0.5 0.5 0.5 0.5 0.7 1.1 1.5 1.4 1.1 1.0 1.0 1.15 1.2 1.05 1.0 1.1 1.3 1.5 1.5 1.35 1.15 0.9 0.7")
HEATING = _hours("0.2 0.1 0.1 0.1 0.3 1.2 1.9 1.8 1.4 1.1 1.0 0.9 0.9 0.9 0.9 1.0 1.2 1.5 1.7 1.7 1.6 1.3 0.8 0.4")
WATER = _hours("0.25 0.12 0.08 0.08 0.12 0.45 1.3 2.1 1.7 1.2 0.9 0.9 1.2 1.2 0.9 0.75 0.8 1.0 1.4 1.7 1.5 1.2 0.9 0.5")

# Share of a household at home.
HOME_WORK = _hours("1 1 1 1 1 1 0.95 0.75 0.45 0.3 0.3 0.3 0.4 0.45 0.35 0.35 0.4 0.55 0.75 0.9 0.95 0.95 1 1")
HOME_FREE = _hours("1 1 1 1 1 1 1 1 0.95 0.85 0.7 0.65 0.8 0.85 0.7 0.55 0.5 0.55 0.65 0.75 0.8 0.85 0.9 0.95")

# Degrees above or below what the household likes by day.
SETPOINT = _hours("-0.9 -1.0 -1.1 -1.2 -1.2 -0.9 -0.2 0.3 0.3 0.1 0 -0.1 0 0 -0.1 -0.1 0 0.3 0.5 0.6 0.6 0.4 0 -0.5")
