"""Both sides of lmms-eval, the harness that people evaluate vision-language models with.

`agrilape export RUN --format lmms` writes the questions of a run as tasks, which any of its models answer;
and the model `agrilape`, found through an entry point, answers any task of the harness that is generated.
"""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """How lmms-eval finds our model: what the entry point `lmms_eval.models` loads."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="agrilape", simple_class_path="agrilape.evaluate.harness.model.Agrilape")
