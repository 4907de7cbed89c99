import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.encoding.folding._floats import changes, floats_at, largest_position, positions_of

TYPES = [np.float32, np.float64]


@given(st.sampled_from(TYPES), st.data())
def test_positions_count_the_floats(dtype, data):
    width = np.finfo(dtype).bits
    value = np.array(
        [data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False))], dtype
    )
    position = positions_of(value)
    np.testing.assert_array_equal(floats_at(position, dtype), value)
    assert abs(position[0]) <= largest_position(dtype)
    above = np.nextafter(value, np.inf, dtype=dtype)
    if np.isfinite(above[0]) and above[0] != value[0]:
        assert positions_of(above) == position + 1


@pytest.mark.parametrize("dtype", TYPES)
def test_changes_of_two_functions_at_once(dtype):
    """One rises at two neighbours and falls nowhere, one changes at 0 and in the last float."""
    last = largest_position(dtype)

    def signature(positions):
        first, second = positions
        steps = (first >= 7).astype(int) + (first >= 8)
        return [steps[:, None], np.stack([second >= 0, second >= last], axis=1).astype(int)]

    grid = np.array([-last, last])
    found = changes(signature, [grid, grid])
    assert [f.tolist() for f in found] == [[7, 8], [0, last]]
