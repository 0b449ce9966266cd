"""Questions about a GeoTIFF of any size, answered on the map."""

from pathlib import Path

from agrilape.serve.predict import MapAnswer, predict_raster

SHIPPED = Path(__file__).parent / "nano"
"""Run folder of the small model that comes with agrilape; its README.md says how good it is, and at what."""

__all__ = ["SHIPPED", "MapAnswer", "predict_raster"]
