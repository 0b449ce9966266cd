import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.config.lape import LapeConfig
from agrilape.tokens import PositionCodec

bins = st.integers(2, 1000)


@given(bins=bins, p=st.floats(0, 1))
def test_nearest_token_is_within_half_a_bin(bins, p):
    codec = PositionCodec(LapeConfig(num_spatial_tokens=bins))
    index = codec.index("width", p)
    assert abs(codec.coordinate("width", index) - p) <= 0.5 / (bins - 1) + 1e-12
    assert codec.coordinate("width", codec.position("width", p)) == pytest.approx(p)


@given(bins=bins, one=st.floats(-2, 2), other=st.floats(-2, 2))
def test_order_survives_rounding(bins, one, other):
    codec = PositionCodec(LapeConfig(num_temporal_tokens=bins))
    low, high = sorted((one, other))
    assert codec.index("temporal", low) <= codec.index("temporal", high)


def test_ends_of_an_axis_are_its_first_and_last_token():
    codec = PositionCodec(LapeConfig(num_spatial_tokens=150, num_temporal_tokens=50))
    assert codec.tokens("height")[codec.index("height", 1.0)] == "<HEIGHT-149>"
    assert codec.tokens("width")[codec.index("width", 0.0)] == "<WIDTH-000>"
    assert codec.tokens("temporal")[-1] == "<TEMP-049>"


def test_outside_is_clipped_and_nonsense_refused():
    codec = PositionCodec(LapeConfig())
    assert codec.position("height", -3.0) == 0.0
    assert codec.position("height", math.inf) == codec.bins("height") - 1
    with pytest.raises(ValueError, match="not a number"):
        codec.position("height", math.nan)
