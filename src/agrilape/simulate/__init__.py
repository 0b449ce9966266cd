"""A farm landscape with known truth, written as ordinary files."""

from agrilape.simulate.scene import simulate_scene

__all__ = ["simulate_scene"]
