"""The simulated district: a model for each device of the registry, and everything they send in order of time."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter

from usp.models.device import Device
from usp.registry import MILAN, read_devices
from usp_simulators import charging, parking
from usp_simulators.buildings import Building
from usp_simulators.charging import ChargingPoint
from usp_simulators.city import City
from usp_simulators.days import STEP, day_of
from usp_simulators.indoor import IndoorSensor
from usp_simulators.lampposts import Lamppost
from usp_simulators.message import INTERVAL, Message, Model
from usp_simulators.meters import DwellingMeter, building_meter
from usp_simulators.noise import tapes
from usp_simulators.parking import Bay
from usp_simulators.street import Street

#: Every how many seconds each kind sends at least, over which its devices are spread.
PERIODS = {
    "lamppost": INTERVAL,
    "parking_sensor": parking.HEARTBEAT,
    "charging_point": charging.HEARTBEAT,
    "energy_meter": STEP,
    "indoor_sensor": STEP,
}
TRAFFIC_PROFILE = "milan-lamppost-traffic"
#: How much is made at once.
CHUNK = 3600


def district() -> list[Device]:
    """Return the devices of the Milan demonstration registry, as shipped."""
    return read_devices(MILAN / "devices.csv")


class Simulation:
    """What the devices of a district send: a function of the seed, the devices and the time, and of nothing else.

    `only` names devices to let speak; the others stay silent, and those named send what they would have sent anyway.
    """

    def __init__(self, devices: Iterable[Device], seed: int = 1, only: Collection[str] | None = None) -> None:
        self._tapes = tapes(seed)
        self._city = City(self._tapes)
        self._buildings: dict[str, Building] = {}
        self.models: dict[str, Model] = {}
        devices = list(devices)
        counts = Counter(self._group(device) for device in devices)
        seen: Counter[str] = Counter()
        for device in devices:
            group = self._group(device)
            phase = PERIODS[device.kind] * seen[group] // counts[group]
            seen[group] += 1
            if only is None or device.name in only:
                self.models[device.name] = self._model(device, phase)

    def messages(self, start: int, end: int | None = None) -> Iterator[Message]:
        """Everything sent at start ≤ t < end (seconds since 1970), in order of time; without an end, for ever."""
        while end is None or start < end:
            today = day_of(start)
            past = min(start - start % CHUNK + CHUNK, today.end, end or today.end)
            chunk = [message for model in self.models.values() for message in model.messages(today, start, past)]
            # The sort is stable, so devices keep the registry's order within a second.
            chunk.sort(key=attrgetter("at"))
            yield from chunk
            start = past

    def _group(self, device: Device) -> str:
        """Devices that are spread over one period: a building's meters but the dwellings' go together."""
        return f"{device.kind}/{device.category}" if device.kind == "energy_meter" else device.kind

    def _model(self, device: Device, phase: int) -> Model:
        name, tapes, city = device.name, self._tapes, self._city
        site = device.site or name
        match device.kind, device.category:
            case "lamppost", _:
                fitted = device.profile == TRAFFIC_PROFILE
                return Lamppost(name, Street(name, site, tapes), city, tapes, phase=phase, traffic=fitted)
            case "parking_sensor", category:
                return Bay(name, category, tapes, phase=phase)
            case "charging_point", category:
                return ChargingPoint(name, category, tapes, phase=phase)
            case "indoor_sensor", _:
                return IndoorSensor(name, city, tapes, phase=phase)
            case "energy_meter", "dwelling":
                return DwellingMeter(name, tapes, phase=phase)
            case "energy_meter", category:
                return building_meter(name, category, self._building(site), tapes, phase=phase)
        raise ValueError(f"{name}: nothing simulates a {device.kind}")

    def _building(self, site: str) -> Building:
        return self._buildings.setdefault(site, Building(site, self._city, self._tapes))
