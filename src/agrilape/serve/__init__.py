"""Questions about a GeoTIFF of any size, answered on the map."""

from agrilape.serve.predict import MapAnswer, predict_raster

__all__ = ["MapAnswer", "predict_raster"]
