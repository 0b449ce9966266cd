from collections import Counter

from agrilape.train.sampling import symmetry_of


def test_symmetries_are_fixed_by_seed_and_index_and_all_occur() -> None:
    drawn = [symmetry_of(3, index) for index in range(800)]
    assert drawn == [symmetry_of(3, index) for index in range(800)]
    assert drawn != [symmetry_of(4, index) for index in range(800)]
    counts = Counter(drawn)
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 60
