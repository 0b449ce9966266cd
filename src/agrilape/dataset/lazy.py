"""Sequences of examples that are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from agrilape.dataset.types import Example


class LazyExamples(Sequence[Example]):
    """What a list of examples does, for examples too many or too large to hold.

    A subclass says how many there are (`__len__`) and how one is made (`make`); indices from the end, slices
    and iteration follow.
    """

    @abstractmethod
    def make(self, position: int) -> Example:
        """The example at a position from 0 to the length less one."""

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        """One example or several.

        Raises:
            IndexError: There is none at the index.
        """
        if isinstance(index, slice):
            return [self.make(position) for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return self.make(position)
