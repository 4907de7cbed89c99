"""The schedule of a training, and its rest when it is shortened."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.training.clock import Clock


def test_gradual_pruning_runs_from_a_tenth_to_three_fifths_of_the_epochs():
    clock = Clock(100, starts=0.1)
    assert [clock.progress(e) for e in (1, 11)] == [0, 0] and clock.progress(12) > 0
    assert clock.progress(36) == pytest.approx(0.5)
    assert clock.progress(60) < 1 and clock.progress(61) == 1 and clock.cut_epoch == 61


def test_without_a_pruning_phase_the_limits_hold_from_the_first_epoch_on():
    clock = Clock(10)
    assert clock.progress(1) == 1 and clock.cut_epoch == 1
    clock.shorten(3, 20)
    assert clock.n_epochs == 10


def test_the_rest_takes_on_the_pace_of_a_usual_training():
    clock = Clock(500, starts=0.1)
    clock.shorten(250, 40)  # half of the schedule is done, and half of 40 epochs are left
    assert clock.n_epochs == 270
    # A tenth of the schedule, which 40 epochs give 4, is left until the limits hold.
    assert clock.progress(254) < 1 and clock.progress(255) == 1


def test_dense_training_ends_at_once():
    clock = Clock(1000, starts=0.1)
    clock.shorten(20, 40)
    assert clock.n_epochs == 20 + 36, "nine tenths of 40"
    assert clock.progress(21) == 0 and clock.progress(22) > 0


def test_a_stop_takes_half_of_what_is_left_at_most():
    clock = Clock(20, starts=0.1)
    clock.shorten(6, 40, halve=True)
    assert clock.n_epochs == 6 + 7


def test_a_schedule_that_is_short_enough_stays_as_it_is():
    clock, same = Clock(30, starts=0.1), Clock(30, starts=0.1)
    clock.shorten(10, 40)
    assert [clock.progress(e) for e in range(1, 31)] == [same.progress(e) for e in range(1, 31)]


@pytest.mark.parametrize("passed", [61, 80, 100])
def test_once_the_limits_hold_nothing_is_shortened(passed):
    clock = Clock(100, starts=0.1)
    clock.shorten(passed, 1, halve=True)
    assert clock.n_epochs == 100


def test_it_is_shortened_once():
    clock = Clock(500, starts=0.1)
    clock.shorten(100, 40)
    n_epochs = clock.n_epochs
    clock.shorten(105, 40, halve=True)
    assert clock.n_epochs == n_epochs


@given(
    st.integers(3, 300), st.integers(1, 300), st.sampled_from([0.0, 0.1]), st.integers(1, 200),
    st.booleans(),
)  # fmt: skip
def test_pruning_goes_on_and_ends_with_an_epoch_to_fine_tune(n, passed, starts, usual, halve):
    passed = min(passed, n)
    clock, plain = Clock(n, starts), Clock(n, starts)
    clock.shorten(passed, usual, halve=halve)
    progress = np.array([clock.progress(e) for e in range(1, clock.n_epochs + 1)])
    before = [plain.progress(e) for e in range(1, passed + 1)]
    assert clock.n_epochs <= n
    np.testing.assert_allclose(progress[passed:], np.sort(progress[passed:]))
    if clock.since:
        assert (progress[passed:] >= before[-1]).all()
        assert progress[-1] == 1
