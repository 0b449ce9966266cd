"""Questions about images of any size, answered on the map."""

from agrilape.model.resolve import SHIPPED
from agrilape.serve.drawing import plot
from agrilape.serve.predictor import Predictor, TileAnswer
from agrilape.serve.raster import MapAnswer, predict_at, predict_raster

__all__ = ["SHIPPED", "MapAnswer", "Predictor", "TileAnswer", "plot", "predict_at", "predict_raster"]
