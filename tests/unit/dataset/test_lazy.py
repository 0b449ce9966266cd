import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.types import Chip, Example


class Numbered(LazyExamples):
    def __init__(self, length):
        self.length, self.made = length, []

    def __len__(self):
        return self.length

    def make(self, position):
        assert 0 <= position < self.length
        self.made.append(position)
        return Example(Chip(str(position), "s", "fake", ()), ())


INDEX = st.integers(-8, 8)


@given(st.integers(0, 5), st.builds(slice, INDEX | st.none(), INDEX | st.none(), st.sampled_from([-2, 1, 3])))
def test_slices_are_those_of_a_list_and_make_nothing_else(length, part):
    lazy = Numbered(length)
    assert [int(one.chip.id) for one in lazy[part]] == list(range(length))[part]
    assert lazy.made == list(range(length))[part]


@given(st.integers(0, 5), INDEX)
def test_indices_are_those_of_a_list(length, index):
    lazy = Numbered(length)
    if -length <= index < length:
        assert int(lazy[index].chip.id) == list(range(length))[index]
    else:
        with pytest.raises(IndexError, match=f"example {index} of {length}"):
            lazy[index]
    assert [int(one.chip.id) for one in lazy] == list(range(length))
