"""The same seed gives the same bits."""

import numpy as np
import pytest
import torch
from samples import X, Y, assert_same_network, classifier, differ, regressor


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_seed_same_bits(make, early_stopping):
    settings = {"early_stopping": early_stopping}
    first = make(**settings).fit(X, Y)
    assert_same_network(first, make(**settings).fit(X, Y))
    assert_same_network(first, first.fit(X, Y))
    assert differ(first, make(**settings, random_state=1).fit(X, Y))
    order = np.random.default_rng(1).permutation(150)
    assert_same_network(first, make(**settings).fit(X[order], Y[order]))


def test_same_bits_whatever_the_number_of_threads():
    # Workers of a parallel search get fewer threads than the process that refits.
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = classifier((16,)).fit(X, Y)
        torch.set_num_threads(2)
        assert_same_network(single, classifier((16,)).fit(X, Y))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_random_state_objects():
    state = np.random.RandomState(3)
    first = classifier(random_state=state).fit(X, Y)
    assert differ(first, classifier(random_state=state).fit(X, Y))
    assert_same_network(first, classifier(random_state=np.random.RandomState(3)).fit(X, Y))
