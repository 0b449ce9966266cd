"""Questions about a GeoTIFF of any size, answered on the map."""

from agrilape.model.locate import SHIPPED
from agrilape.serve.predict import MapAnswer, predict_raster

__all__ = ["SHIPPED", "MapAnswer", "predict_raster"]
