"""Whole scenes asked as `agrilape predict` asks them, and scored against all their parcels."""

from agrilape.maps.evaluation import ask_maps, guess_maps

__all__ = ["ask_maps", "guess_maps"]
