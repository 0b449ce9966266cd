"""How far two ways of computing the same in float32 may be apart, on any processor."""

ROUNDINGS = 1024
"""Operations one after another in a pass through a tiny model: some 20 sums over 50 terms."""


def assert_same_but_for_rounding(actual, expected) -> None:
    """Two tensors, or two dicts of tensors that one pass made, are equal but for the order of sums.

    An operation rounds to 2^-24 of its result. If all roundings of a pass add up, and the largest value
    takes part in each, values are apart by `ROUNDINGS` x 2^-24 of the largest value: 6e-5. A wrong row, mask
    or scale moves them by hundredths.
    """
    if not isinstance(expected, dict):
        actual, expected = {"": actual}, {"": expected}
    assert actual.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    for name, value in expected.items():
        apart = (actual[name] - value).abs().max().item()
        assert apart <= ROUNDINGS * 2**-24 * largest, f"{name or 'values'} apart by {apart}"
