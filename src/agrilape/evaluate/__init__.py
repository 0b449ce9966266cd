"""Prediction, metrics and baselines.

Scores need no model: only `predict` and `run` import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agrilape.evaluate.evaluation import evaluate_run
    from agrilape.evaluate.inference import predict_samples

__all__ = ["evaluate_run", "predict_samples"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that scoring files of predictions does not wait for torch."""
    if name == "evaluate_run":
        from agrilape.evaluate.evaluation import evaluate_run

        return evaluate_run
    if name == "predict_samples":
        from agrilape.evaluate.inference import predict_samples

        return predict_samples
    raise AttributeError(name)
