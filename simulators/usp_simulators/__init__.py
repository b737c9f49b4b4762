"""Devices that stand in for the hardware of the Milan district.

    Simulation(district()).messages(start, end)

yields everything the district's devices send in a span of time. `usp_simulators.simulate` sends it to a broker.
"""

from usp_simulators.district import Simulation, district
from usp_simulators.message import Message, Row

__all__ = ["Message", "Row", "Simulation", "district"]
