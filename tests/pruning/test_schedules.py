"""Schedules: counts by hand, who is swapped, and where others grow."""

import numpy as np
import pytest

from qnnprune.pruning.schedules import SCHEDULES

REWIRING = ["in_training", "set"]


def random_case(seed=0, n_out=6, n_in=40, n_kept=10):
    """Ranks without ties, all weights but the first column live, and a start."""
    rng = np.random.default_rng(seed)
    rank = rng.permutation(n_out * n_in).reshape(n_out, n_in).astype(float)
    live = np.ones((n_out, n_in), bool)
    live[:, 0] = False
    target = np.full(n_out, n_kept)
    return rank, live, target


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("gradual", [1, 0.421875, 0.125, 0.015625, 0]),
        ("one_shot", [1, 1, 1, 1, 0]),
        ("after_training", [1, 1, 1, 1, 0]),
        ("before_training", [0] * 5),
        ("in_training", [0] * 5),
        ("set", [0] * 5),
    ],
)
def test_excess_by_hand(schedule, expected):
    assert [SCHEDULES[schedule].excess(p) for p in (0, 0.25, 0.5, 0.75, 1)] == expected


def test_only_after_training_restarts_the_learning_rate():
    assert [name for name, s in SCHEDULES.items() if s.restarts_lr] == ["after_training"]


@pytest.mark.parametrize("schedule", ["before_training", "in_training"])
def test_start_keeps_the_highest_ranked(schedule):
    rank = np.array([[5.0, 9, 1, 7], [2, 3, 8, 4]])
    live = np.array([[True, False, True, True], [True] * 4])
    start = SCHEDULES[schedule].start(rank, live, np.array([2, 1]), None)
    np.testing.assert_array_equal(start, [[True, False, False, True], [False, False, True, False]])


def test_before_training_never_changes():
    rank, live, _ = random_case()
    mask = rank > 100
    assert SCHEDULES["before_training"].rewire(mask, rank, live, None, None) is mask


def test_in_training_swaps_the_weakest_of_every_row():
    rank, live, target = random_case()
    schedule, random = SCHEDULES["in_training"], np.random.default_rng(0)
    mask = schedule.start(-rank, live, target, random)
    after = schedule.rewire(mask, rank, live, target, random)
    np.testing.assert_array_equal(after.sum(axis=1), 10)
    assert not after[:, 0].any()
    for row, old, new in zip(rank, mask, after, strict=True):
        strongest = np.argsort(np.where(old, -row, np.inf))[:7]  # 30 % of 10 go
        assert new[strongest].all()
        assert (new & ~old).any()


def test_set_swaps_the_weakest_of_the_layer():
    rank, live, target = random_case()
    schedule, random = SCHEDULES["set"], np.random.default_rng(0)
    mask = live & (np.arange(40) <= 8)  # 8 a row, 48 in all: int(14.4) go
    after = schedule.rewire(mask, rank, live, target, random)
    assert after.sum() == 48 and not after[:, 0].any()
    kept = np.sort(rank[mask])[-34:]
    assert np.isin(kept, rank[after]).all()
    assert (after.sum(axis=1) <= target).all()


def test_set_grows_only_where_rows_have_room():
    rank, live, _ = random_case()
    target = np.array([40, 8, 8, 8, 8, 8])
    mask = live & (np.arange(40) <= 8)
    rank[0] += 1000  # no weight of the first row is cut
    after = SCHEDULES["set"].rewire(mask, rank, live, target, np.random.default_rng(0))
    assert (after.sum(axis=1) <= target).all() and after.sum() == 48
    assert after[0].sum() > 8


def test_set_starts_as_an_erdos_renyi_graph():
    n_out, n_in = 400, 300
    live, target = np.ones((n_out, n_in), bool), np.full(n_out, n_in)
    start = SCHEDULES["set"].start(live * 1.0, live, target, np.random.default_rng(0))
    p = 20 * (n_in + n_out) / (n_in * n_out)  # 0.1167 of 120,000: 14,000 edges
    deviation = np.sqrt(n_out * n_in * p * (1 - p))
    assert abs(start.sum() - 14_000) < 4 * deviation
    # Rows follow the binomial distribution: n_in p edges, of standard deviation 5.6.
    assert abs(start.sum(axis=1).std() - np.sqrt(n_in * p * (1 - p))) < 0.8


def test_set_start_respects_targets_and_small_layers():
    live, target = np.ones((50, 60), bool), np.full(50, 7)
    start = SCHEDULES["set"].start(live * 1.0, live, target, np.random.default_rng(0))
    assert (start.sum(axis=1) <= 7).all() and start.sum(axis=1).mean() > 6.9
    live = np.ones((2, 5), bool)  # a probability above 1
    assert (
        SCHEDULES["set"].start(live * 1.0, live, np.array([5, 5]), np.random.default_rng(0)).all()
    )


@pytest.mark.parametrize("schedule", REWIRING)
def test_regrowth_is_reproducible(schedule):
    rank, live, target = random_case()
    mask = live & (np.arange(40) <= 10)
    first, same, other = (
        SCHEDULES[schedule].rewire(mask, rank, live, target, np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize("schedule", REWIRING)
def test_regrowth_is_uniform(schedule):
    rank, live, target = random_case(n_out=1)
    mask = live & (np.arange(40) <= 10)
    random = np.random.default_rng(0)
    grown = np.zeros(40)
    for _ in range(3000):
        grown += SCHEDULES[schedule].rewire(mask, rank, live, target, random)[0] & ~mask[0]
    # 3 grow among the 29 that never were and the 3 just cut; 5 standard deviations.
    expected = 3000 * 3 / 32
    assert grown[:11].sum() == 0
    assert np.abs(grown[11:] - expected).max() < 5 * np.sqrt(expected)


def test_a_layer_in_blocks_starts_as_a_random_graph_in_each():
    n_blocks, n_out, n_in = 4, 200, 100
    live = np.kron(np.eye(n_blocks, dtype=bool), np.ones((n_out, n_in), bool))
    start = SCHEDULES["set"].start(live * 1.0, live, np.full(800, 99), np.random.default_rng(0))
    expected = 20 * (n_in + n_out)  # edges of a block, as Mocanu et al. count them
    for block in range(n_blocks):
        rows, columns = (slice(n * block, n * (block + 1)) for n in (n_out, n_in))
        assert abs(start[rows, columns].sum() - expected) < 4 * expected**0.5
    assert not (start & ~live).any()
