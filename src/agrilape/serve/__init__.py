"""Questions about a GeoTIFF of any size, answered on the map."""

from agrilape.model.resolve import SHIPPED
from agrilape.serve.raster import MapAnswer, predict_raster

__all__ = ["SHIPPED", "MapAnswer", "predict_raster"]
