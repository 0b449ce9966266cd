"""Chips, questions about them, splits and the sample store."""

from agrilape.samples.augment import dihedral
from agrilape.samples.manifest import Manifest, read_manifest, read_store
from agrilape.samples.mixture import Mixture
from agrilape.samples.store import Store
from agrilape.samples.tasknames import TASKS, Task
from agrilape.samples.types import Chip, Example, Picture, Sample

__all__ = [
    "TASKS", "Chip", "Example", "Manifest", "Mixture", "Picture", "Sample", "Store", "Task",
    "dihedral", "read_manifest", "read_store",
]  # fmt: skip
