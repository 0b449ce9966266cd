"""What a data set is: chips and questions about them, its files, and how training draws from it."""

from agrilape.dataset.augmentation import dihedral
from agrilape.dataset.manifest import Manifest, read_manifest, read_store
from agrilape.dataset.mixture import Mixture
from agrilape.dataset.store import Store
from agrilape.dataset.tasks import TASKS, Task
from agrilape.dataset.types import Chip, Example, Picture, Sample

__all__ = [
    "TASKS", "Chip", "Example", "Manifest", "Mixture", "Picture", "Sample", "Store", "Task",
    "dihedral", "read_manifest", "read_store",
]  # fmt: skip
