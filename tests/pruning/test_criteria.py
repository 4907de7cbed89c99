"""Criteria against plain loops and planted neurons."""

import numpy as np
import pytest

from qnnprune.pruning.criteria import CRITERIA, Seen

RNG = np.random.default_rng(0)
MAGNITUDE = RNG.random((4, 6))


def seen(values, weights=None):
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    return Seen(np.asarray(values, np.float32), (weights / weights.sum()).astype(np.float32))


@pytest.mark.parametrize("name", ["l1", "neuron_l2", "neuron_activation", "neuron_redundancy"])
def test_weights_are_ranked_by_magnitude(name):
    np.testing.assert_array_equal(CRITERIA[name].rank(MAGNITUDE, None, [0]), MAGNITUDE)


def test_random_ranks_do_not_depend_on_weights():
    rank = CRITERIA["random"].rank
    np.testing.assert_array_equal(
        rank(MAGNITUDE, None, [3, 1]), rank(MAGNITUDE[::-1] * 9, None, [3, 1])
    )
    assert (rank(MAGNITUDE, None, [3, 1]) != rank(MAGNITUDE, None, [3, 2])).any()


def test_activation_equals_a_plain_loop():
    values, weights = RNG.normal(size=(9, 6)), RNG.random(9)
    expected = np.zeros((4, 6))
    for i in range(4):
        for j in range(6):
            mean = sum(w * x for w, x in zip(weights, values[:, j], strict=True)) / weights.sum()
            for w, x in zip(weights, values[:, j], strict=True):
                expected[i, j] += w * abs(MAGNITUDE[i, j] * (x - mean)) / weights.sum()
    found = CRITERIA["activation"].rank(MAGNITUDE, seen(values, weights), [0])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def surviving(name, keep, weight=None, values=None, kept=None):
    n = len(weight) if weight is not None else np.shape(values)[1]
    kept = np.ones(n, bool) if kept is None else np.array(kept, bool)
    what = None if values is None else seen(values)
    return CRITERIA[name].surviving(kept, keep, weight, what).tolist()


def test_neuron_l2_by_hand():
    weight = np.array([[3.0, 4], [5.5, 0], [4, 4]])  # norms 5, 5.5 and 5.66
    assert surviving("neuron_l2", 1, weight) == [False, False, True]
    assert surviving("neuron_l2", 2, weight) == [False, True, True]
    assert surviving("neuron_l2", 1, weight, kept=[1, 1, 0]) == [False, True, False]


def test_neuron_activation_by_hand():
    # Mean absolute deviations 1, 0 (though large), 0.5.
    values = [[1, 9, 2], [3, 9, 2], [1, 9, 1], [3, 9, 1]]
    assert surviving("neuron_activation", 2, values=values) == [True, False, True]
    assert surviving("neuron_activation", 1, values=values) == [True, False, False]


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5])
def test_redundancy_finds_planted_copies(factor):
    values = np.random.default_rng(1).normal(size=(200, 8))
    values[:, 5] = factor * values[:, 2] + 7
    values[:, 6] = 0.9 * factor * values[:, 1]
    stay = surviving("neuron_redundancy", 6, values=values)
    assert stay[0] and stay[3] and stay[4] and stay[7]
    assert stay[2] + stay[5] == 1 and stay[1] + stay[6] == 1
    if factor != 1.0:
        assert stay[1] and not stay[6], "the one that varies less goes"


def test_redundancy_keeps_one_of_three_copies():
    values = np.random.default_rng(1).normal(size=(200, 5))
    values[:, 3] = values[:, 4] = 0.5 * values[:, 0]
    assert surviving("neuron_redundancy", 3, values=values) == [True, True, True, False, False]


def test_redundancy_removes_constants_first():
    values = np.random.default_rng(1).normal(size=(200, 5))
    values[:, 1] = 0.98 * values[:, 0]
    values[:, 3] = 4.0
    assert surviving("neuron_redundancy", 4, values=values) == [True, True, True, False, True]


@pytest.mark.parametrize("name", ["neuron_l2", "neuron_activation", "neuron_redundancy"])
def test_what_is_removed_stays_removed(name):
    weight, values = RNG.random((6, 3)), RNG.random((50, 6))
    kept = np.array([1, 0, 1, 1, 0, 1], bool)
    stay = np.array(surviving(name, 3, weight, values, kept))
    assert stay.sum() == 3 and not stay[~kept].any()
