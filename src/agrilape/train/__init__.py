"""The three stages, on `transformers.Trainer`."""

from agrilape.train.stages import train_recipe

__all__ = ["train_recipe"]
