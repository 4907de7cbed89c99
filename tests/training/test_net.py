"""Training: optimizers, batches, silence and the random state."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from samples import CANCER, X, Y, classifier
from sklearn.exceptions import ConvergenceWarning
from trainings import Interrupt, assert_proven, make

from qnnprune.training.callbacks import ShareOfEpochs


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_optimizers(optimizer):
    assert make(optimizer=optimizer, max_epochs=20, lr=0.02).fit(X, Y).score(X, Y) > 0.8


def test_weight_decay_reaches_weights_alone():
    heavy, light = (make(alpha=alpha, lr=0.01).fit(X, Y).module_ for alpha in (50.0, 0.0))
    for a, b in zip(heavy.linears, light.linears, strict=True):
        assert a.weight.detach().abs().mean() < 0.5 * b.weight.detach().abs().mean()
    assert heavy.hidden[0].norm.weight.detach().abs().min() > 0.5


def test_the_module_can_be_trained_further_by_its_owner():
    model = make(activation=torch.nn.Softplus(), max_epochs=2).fit(X, Y)
    parameters = list(model.module_.parameters())
    assert all(parameter.grad is None for parameter in parameters)
    levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
    for _ in range(2):
        model.module_.train()(levels).square().sum().backward()
    torch.optim.SGD(parameters, lr=0.1).step()
    assert all(parameter.isfinite().all() for parameter in parameters)


def test_divergence_is_an_error_that_names_lr():
    for lr in (1e10, 1e300):
        with pytest.raises(ValueError, match=r"\blr\b"):
            make(lr=lr).fit(X, Y)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("n_rows", [2, 3, 5, 40])
def test_any_batch_size(batch_size, n_rows):
    rows = np.linspace(0, 149, n_rows).astype(int)
    assert_proven(make(batch_size=batch_size, max_epochs=2).fit(X[rows], Y[rows]))


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"n_accum_bits": 4}])
def test_a_normal_fit_is_silent(settings, capfd):
    torch.set_warn_always(True)  # else torch warns once a process, whoever sees it first
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = make(**settings).fit(X, Y)
            model.set_params(early_stopping=False).partial_fit(X, Y).predict(X)
    finally:
        torch.set_warn_always(False)
    assert capfd.readouterr() == ("", "")


def test_progress_bar(capfd):
    make(verbose=1, early_stopping=True).fit(X, Y)
    out, err = capfd.readouterr()
    assert out == ""
    assert "10/10" in err
    for text in ("loss=", "score=", "weights left="):
        assert text in err


def test_the_share_of_a_fit_counts_its_trials():
    seen = []
    report = ShareOfEpochs(lambda label, share: seen.append((label, share)))
    X, y = CANCER
    classifier(max_epochs="auto", n_accum_bits=8, callbacks=[report]).fit(X, y)
    shares = np.array([share for _, share in seen])
    assert (np.diff(shares) > 0).all()
    last = {label: share for label, share in seen}
    assert last == pytest.approx({"trial 1 of 2": 1 / 3, "trial 2 of 2": 2 / 3, "training": 1.0})
    seen.clear()
    classifier(max_epochs=4, callbacks=[report]).fit(X, y)
    assert seen == [("training", share) for share in (0.25, 0.5, 0.75, 1.0)]


def test_every_trial_has_a_progress_bar(capfd):
    rows = np.random.RandomState(0).standard_normal((250, 4))
    y = rows[:, 0] > 0
    for bits, n_trials in ((8, 2), (6, 3)):
        make(n_accum_bits=bits, max_epochs="auto", verbose=1).fit(rows, y)
        bars = capfd.readouterr().err.split("\n")
        labels = [bar.rpartition("\r")[2].partition(":")[0] for bar in bars]
        trials = [f"trial {i} of {n_trials}" for i in range(1, n_trials + 1)]
        assert labels == [*trials, "training", ""]


def test_the_progress_bar_knows_of_a_shorter_rest(capfd):
    model = make(max_epochs=500, early_stopping=True, n_iter_no_change=2, tol=2.0, verbose=1)
    model.set_params(pruning_schedule="gradual").fit(X, Y)
    # Patience ends with the third epoch; a training of 40 epochs has 36 more.
    assert f" {model.n_iter_}/39 " in capfd.readouterr().err


def test_progress_bar_is_closed_after_an_interrupt(capfd):
    with pytest.warns(ConvergenceWarning):
        make(verbose=1, callbacks=[Interrupt(3)]).fit(X, Y)
    assert capfd.readouterr().err.endswith("\n")


def numpy_state():
    return str(np.random.get_state())  # noqa: NPY002


def test_global_random_state_is_untouched():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = random.getstate(), numpy_state(), torch.get_rng_state()
    model = make(early_stopping=True).fit(X, Y)
    model.set_params(early_stopping=False).partial_fit(X, Y).module_  # noqa: B018
    assert random.getstate() == before[0]
    assert numpy_state() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_global_random_state_is_not_used():
    models = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        models.append(make().fit(X, Y))
    np.testing.assert_array_equal(*(model.decision_function(X) for model in models))


def test_fits_in_threads_do_not_disturb_each_other():
    # joblib's threading backend, for instance.
    expected = make(max_epochs=2).fit(X, Y).decision_function(X)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: make(max_epochs=2).fit(X, Y).decision_function(X), range(16))
        )
    assert all(np.array_equal(f, expected) for f in found)
    assert torch.equal(torch.get_rng_state(), before)


def test_torchs_default_type_makes_no_difference():
    expected = make().fit(X, Y).integer_network_
    torch.set_default_dtype(torch.float64)
    try:
        found = make().fit(X, Y).integer_network_
    finally:
        torch.set_default_dtype(torch.float32)
    for mine, theirs in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(mine.weight, theirs.weight)
        np.testing.assert_array_equal(mine.thresholds, theirs.thresholds)
