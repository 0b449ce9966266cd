"""A farm landscape with known truth, written as ordinary files."""

from agrilape.simulate.scene import SIMULATOR_VERSION, simulate_scene

__all__ = ["SIMULATOR_VERSION", "simulate_scene"]
