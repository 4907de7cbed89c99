"""Threads and processes around a fit: none hangs, and none is left with one thread."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import qnnprune
from qnnprune import PrunedNeuralNetClassifier

_FORK = """
import multiprocessing
import numpy as np
from qnnprune import PrunedNeuralNetClassifier

X = np.random.default_rng(0).normal(size=(400, 8))
y = X[:, 0] > 0

def fit(seed):
    net = PrunedNeuralNetClassifier(max_epochs=2, random_state=seed).fit(X, y)
    net.float_twin().fit(X, y).score(X, y)
    return net.score(X, y)

if __name__ == "__main__":
    net = PrunedNeuralNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    net.float_twin().fit(X, y).predict(X)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map_async(fit, [0]).get(timeout=60) == [net.score(X, y)])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_fits_after_its_parent():
    # Threads of OpenMP that the parent had started are not there in the child, which waited.
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    env["PYTHONPATH"] = str(Path(qnnprune.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", _FORK],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout == "True\n", result.stderr


def test_fits_in_threads_leave_the_number_of_threads_alone():
    X = np.random.default_rng(0).normal(size=(200, 4))
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)

    def fit(seed):
        PrunedNeuralNetClassifier((8,), max_epochs=2 + 3 * seed).fit(X, X[:, 0] > 0)
        seen.append(torch.get_num_threads())

    try:
        threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [3] * 5 and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_network_does_not_depend_on_the_number_of_threads():
    X = np.random.default_rng(0).normal(size=(600, 40))
    y, before, found = X[:, 0] > 0, torch.get_num_threads(), []
    try:
        for number in (1, 2, 4):
            torch.set_num_threads(number)
            net = PrunedNeuralNetClassifier((256, 128), max_epochs=2, random_state=0).fit(X, y)
            found.append(net.decision_function(X))
    finally:
        torch.set_num_threads(before)
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()
