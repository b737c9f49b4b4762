"""Every dataset, one file each; the order here is the order in which the platform lists them."""

from usp.models.dataset import Dataset
from usp.models.datasets.air_quality import AIR_QUALITY
from usp.models.datasets.charging import CHARGING
from usp.models.datasets.device_health import DEVICE_HEALTH
from usp.models.datasets.energy import ENERGY
from usp.models.datasets.indoor_climate import INDOOR_CLIMATE
from usp.models.datasets.lighting import LIGHTING
from usp.models.datasets.noise import NOISE
from usp.models.datasets.parking import PARKING
from usp.models.datasets.traffic import TRAFFIC
from usp.models.datasets.weather import WEATHER
from usp.models.datasets.wifi import WIFI

DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        AIR_QUALITY,
        WEATHER,
        NOISE,
        TRAFFIC,
        LIGHTING,
        WIFI,
        PARKING,
        CHARGING,
        ENERGY,
        INDOOR_CLIMATE,
        DEVICE_HEALTH,
    )
}
