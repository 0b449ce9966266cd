import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agrilape.dataset.round_robin import interleave, shuffle_interleaved


@given(st.lists(st.lists(st.integers(), max_size=5), max_size=5))
def test_turns_keep_everything_and_go_round(queues):
    marked = [[(number, item) for item in queue] for number, queue in enumerate(queues)]
    order = interleave(marked)
    assert Counter(order) == Counter(item for queue in marked for item in queue)
    filled = sum(bool(queue) for queue in queues)
    assert len({number for number, _ in order[:filled]}) == filled


@given(st.text("abc", max_size=20), st.integers(0, 99))
def test_no_kind_is_crowded_out(kinds, seed):
    items = list(enumerate(kinds))
    order = shuffle_interleaved(items, lambda item: item[1], random.Random(seed))
    assert sorted(order) == items
    most = min(Counter(kinds).values(), default=0) * len(set(kinds))
    counts = Counter(kind for _, kind in order[:most])
    assert len(set(counts.values())) <= 1
