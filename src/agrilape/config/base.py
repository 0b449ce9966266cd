"""The base of all settings: strict, documented, with the nearest name for a typo."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from agrilape.config.former_names import present_keys


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys; former names of keys are read as the present ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _by_present_names(cls, content: Any) -> Any:
        return present_keys(cls.__name__, content)
