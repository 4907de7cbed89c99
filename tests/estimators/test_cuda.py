"""Fits on a GPU: proven, the same bits each time, and as good as on the CPU."""

import gc
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import oracles
import pandas as pd
import pytest
import torch
from samples import assert_same_network, check_limits, classifier, regressor
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from torch.optim.lr_scheduler import StepLR
from trainings import Interrupt

from qnnprune.exceptions import FewWeightsWarning
from qnnprune.integer import IntegerNetwork
from qnnprune.search import PrunedNeuralNetSearchCV
from qnnprune.training.losses import loss_of
from qnnprune.training.state import float_decision

DEVICE = "cuda"
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore::qnnprune.exceptions.FewWeightsWarning"),
]

X, DIGIT = load_digits(return_X_y=True)
RNG = np.random.default_rng(0)
SIGNAL = X[:, ::3] @ RNG.normal(size=(22, 3)) / 40
COUNTS = RNG.poisson(np.exp(np.tanh(SIGNAL[:, 0]))).astype(float)
WEIGHT = RNG.uniform(0.2, 3, len(X))
FEW = {"hidden": (48, 24), "max_epochs": 8}
digits, signal = partial(classifier, **FEW), partial(regressor, **FEW)
TASKS = {
    "2 classes": (digits, DIGIT % 2),
    "10 classes": (digits, DIGIT),
    "labels": (digits, np.c_[DIGIT % 2, DIGIT > 4, DIGIT % 3 == 0].astype(int)),
    "squared_error": (signal, SIGNAL[:, 0]),
    "3 targets": (signal, SIGNAL),
    "absolute_error": (partial(signal, loss="absolute_error"), SIGNAL),
    "huber": (partial(signal, loss="huber"), SIGNAL[:, 0]),
    "quantile": (partial(signal, loss="quantile", quantile=0.5), SIGNAL),
    "poisson": (partial(signal, loss="poisson"), COUNTS),
    "gamma": (partial(signal, loss="gamma"), COUNTS + 1),
}


def assert_right(model, n_accum_bits):
    """The proof holds, and the integers are what the module itself puts out, from its own codes."""
    network = model.integer_network_
    assert oracles.widest(network) <= n_accum_bits
    output = float_decision(model._trained, network.encoding.levels(X))
    integers = network.decision(X)
    close = np.isclose(integers, output.reshape(integers.shape), rtol=1e-6, atol=1e-6)
    assert close.all(axis=1).mean() > 0.97  # but for ties between two codes
    assert next(model.module_.parameters()).device.type == "cpu"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n_accum_bits", [8, 6, 5])
def test_proven_repeatable_and_as_good(task, n_accum_bits):
    make, y = TASKS[task]
    model = make(n_accum_bits=n_accum_bits, device=DEVICE).fit(X, y, WEIGHT)
    assert_right(model, n_accum_bits)
    assert_same_network(model, clone(model).fit(X, y, WEIGHT))
    own = clone(model).set_params(device="cpu").fit(X, y, WEIGHT)
    assert abs(own.score(X, y) - model.score(X, y)) < 0.06


@pytest.mark.parametrize("task", TASKS)
def test_large_batches_repeat(task):
    """Sums of many numbers are those that a GPU may add up in any order."""
    make, y = TASKS[task]
    many, y, weight = np.tile(X, (12, 1)), np.concatenate([y] * 12), np.tile(WEIGHT, 12)
    many = many + RNG.normal(size=many.shape)
    weight = RNG.uniform(0.2, 3, len(many))
    model = make(device=DEVICE, batch_size=10_000, max_epochs=12, dropout=0.1)
    model.fit(many, y, sample_weight=weight)
    assert_same_network(model, clone(model).fit(many, y, sample_weight=weight))


def test_the_delta_of_huber_repeats():
    """A GPU adds up numbers this many in another order each time."""
    output = torch.randn(2_000_000, 1, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    y, weight = torch.zeros_like(output), output[:, 0].abs() + 0.01
    gradients = [loss_of("huber")(output, y, weight)[1] for _ in range(30)]
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


@pytest.mark.parametrize(
    "settings",
    [
        {"skip_connection": True, "n_a_bits": 4, "n_in_bits": 2},
        {"n_rounding_bits": 2},
        {"hidden": ()},
        {"n_w_bits": 4, "n_a_bits": 4, "n_in_bits": 4, "activation": "tanh", "n_accum_bits": 12},
        {"activation": torch.nn.Softplus(), "n_output_sums": 3},
        {"pruning_schedule": "set", "pruning_criterion": "activation"},
        {"pruning_criterion": "neuron_redundancy", "n_accum_bits": 6},
        {
            "pruning_criterion": "neuron_activation",
            "pruning_schedule": "one_shot",
            "max_epochs": 20,
        },
        {"optimizer": "sgd", "batch_size": 77},
        {"optimizer": torch.optim.RMSprop},
        {"dropout": 0.3, "class_weight": "balanced"},
        {"hidden": "auto", "max_epochs": "auto", "early_stopping": True},
        {"n_a_bits": "auto", "n_in_bits": "auto", "max_epochs": 4},
        {"accumulator_guarantee": False},
    ],
    ids=str,
)
def test_settings(settings):
    model = digits(**{"device": DEVICE} | settings).fit(X, DIGIT)
    own = clone(model).set_params(device="cpu").fit(X, DIGIT)
    assert abs(own.score(X, DIGIT) - model.score(X, DIGIT)) < 0.05
    assert_right(model, model.n_accum_bits if model.accumulator_guarantee else 32)
    assert_same_network(model, clone(model).fit(X, DIGIT))


def test_raw_rows():
    rows = pd.DataFrame({f"x{i}": X[:, i] for i in range(20, 44)})
    rows["town"] = np.array(["Ulm", "Bonn", None])[RNG.integers(0, 3, len(X))]
    rows.loc[::7, "x30"] = np.nan
    rows["even"] = pd.Categorical(np.where(DIGIT % 2, "odd", "even"))
    model = digits(device=DEVICE).fit(rows, DIGIT)
    assert any(table is not None for table in model.integer_network_.encoding.tables)
    assert_same_network(model, clone(model).fit(rows, DIGIT))
    own = clone(model).set_params(device="cpu").fit(rows, DIGIT)
    assert abs(own.score(rows, DIGIT) - model.score(rows, DIGIT)) < 0.05
    assert_same_network(model.partial_fit(rows, DIGIT), model)


@pytest.mark.parametrize("task", ["10 classes", "labels", "3 targets"])
def test_float_twins(task):
    make, y = TASKS[task]
    model = make(device=DEVICE).float_twin().fit(X, y)
    own = make(device="cpu").float_twin().fit(X, y)
    assert abs(own.score(X, y) - model.score(X, y)) < 0.05


def test_torchs_generator_on_the_gpu_is_left_alone():
    torch.cuda.manual_seed_all(1)
    before = torch.cuda.get_rng_state()
    digits(device=DEVICE, early_stopping=True, dropout=0.2).fit(X, DIGIT)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_nothing_is_left_on_the_gpu():
    digits(device=DEVICE).fit(X, DIGIT)  # libraries keep what they work in
    gc.collect()
    before = torch.cuda.memory_allocated()
    model = digits(device=DEVICE, early_stopping=True).fit(X, DIGIT)
    gc.collect()
    assert torch.cuda.memory_allocated() == before
    assert model.score(X, DIGIT) > 0.9


def test_products_of_fewer_bits():
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        model = digits(device=DEVICE, n_rounding_bits=2).fit(X, DIGIT)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert_right(model, 8)
    assert model.score(X, DIGIT) > 0.9


def test_torchs_deterministic_mode():
    torch.use_deterministic_algorithms(True)
    try:
        for task in TASKS:
            make, y = TASKS[task]
            make(device=DEVICE, max_epochs=2).fit(X, y, WEIGHT)
    finally:
        torch.use_deterministic_algorithms(False)


# ----------------------------------------------------------------- further training


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize(("first", "second"), [(DEVICE, "cpu"), ("cpu", DEVICE), (DEVICE, DEVICE)])
def test_training_goes_on_wherever(first, second, optimizer):
    model = digits(device=first, optimizer=optimizer, warm_start=True).fit(X, DIGIT)
    before = model.score(X, DIGIT)
    model.set_params(device=second).fit(X, DIGIT)
    for device in (second, first, second):
        model.set_params(device=device).partial_fit(X, DIGIT)
        assert oracles.widest(model.integer_network_) <= 8
    model.partial_fit(X[:500], DIGIT[:500])
    assert model.score(X, DIGIT) > before - 0.05
    narrower = model.set_params(n_accum_bits=6).prune(X, DIGIT)
    assert_right(narrower, 6)


def test_partial_fit_repeats():
    def fitted():
        model = digits(device=DEVICE)
        for start in range(0, 1500, 300):
            rows = slice(start, start + 300)
            model.partial_fit(X[rows], DIGIT[rows], classes=np.arange(10))
        return model

    model = fitted()
    assert_same_network(model, fitted())
    again = pickle.loads(pickle.dumps(model))
    assert_same_network(again, model)
    assert_same_network(again.partial_fit(X, DIGIT), model.partial_fit(X, DIGIT))


# ------------------------------------------------------------------------- callbacks


class Steep(torch.nn.Module):
    """An activation with a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("slope", torch.tensor([0.5, 2.0]))

    def forward(self, x):
        return torch.where(x < 0, self.slope[0] * x, self.slope[1] * x)


def test_an_activation_with_tensors():
    model = digits(activation=Steep(), device=DEVICE).fit(X, DIGIT)
    assert_right(model, 8)
    model.partial_fit(X, DIGIT)
    assert_right(model, 8)


def test_callbacks(tmp_path):
    callbacks = [
        EpochScoring("f1_macro", name="f1", lower_is_better=False),
        EpochScoring("neg_log_loss", name="log", lower_is_better=False, on_train=True),
        LRScheduler(StepLR, step_size=4),
        GradientNormClipping(1.0),
        Checkpoint(monitor="valid_loss_best", dirname=tmp_path, load_best=True),
        EarlyStopping(patience=4, load_best=True),
    ]
    model = digits(device=DEVICE, early_stopping=True, callbacks=callbacks).fit(X, DIGIT)
    assert_right(model, 8)
    assert model.history_[-1]["f1"] > 0.8 and model.history_[-1]["log"] < 0


def test_callbacks_of_scikit_learn():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    watched = digits(device=DEVICE).set_callbacks(monitor).fit(X, DIGIT)
    assert_same_network(watched, digits(device=DEVICE).fit(X, DIGIT))
    log = monitor.get_logs().data
    assert sum(row["task_name"] == "epoch" for row in log) == watched.n_iter_
    assert log[-1]["accuracy"] == watched.score(X, DIGIT)


class KeepsTheNet(EpochScoring):
    """Loads a state in the middle of training, and keeps the net after it."""

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        net.module_.load_state_dict(net.module_.state_dict())
        net.predict(X[:20])
        self.net = net


def test_states_that_are_loaded_while_training():
    callback = KeepsTheNet("accuracy", lower_is_better=False, on_train=True)
    model = digits(device=DEVICE, callbacks=[callback], n_accum_bits=6).fit(X, DIGIT)
    assert_right(model, 6)
    assert np.mean(callback.net.predict(X) == model.predict(X)) > 0.98


@pytest.mark.parametrize("moment", ["on_batch_end", "on_grad_computed", "on_epoch_begin"])
def test_an_interrupt_leaves_the_last_whole_epoch(moment):
    model = digits(device=DEVICE, n_accum_bits=6)
    with pytest.warns(UserWarning, match="interrupted in epoch 4"):
        model.set_params(callbacks=[Interrupt(4, moment)]).fit(X, DIGIT)
    assert len(model.history_) == 3
    assert_right(model, 6)


# ------------------------------------------------------------------ files and searches


def test_fits_are_read_where_there_is_no_gpu(tmp_path):
    model = digits(device=DEVICE, warm_start=True).fit(X, DIGIT)
    model.partial_fit(X, DIGIT)  # with a module that is kept
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    np.savez(tmp_path / "rows", X=X, y=DIGIT, found=model.predict(X))
    text = (
        "import pickle, numpy as np, torch\n"
        "rows = np.load('rows.npz')\n"
        "model = pickle.load(open('model', 'rb'))\n"
        "assert (model.predict(rows['X']) == rows['found']).all()\n"
        "assert not torch.cuda.is_available()\n"
        "model.module_\n"
        "try:\n    model.partial_fit(rows['X'], rows['y'])\n"
        "except ValueError as error:\n    assert \"device='cuda' is not available\" in str(error)\n"
        "model.set_params(device='cpu').partial_fit(rows['X'], rows['y'])\n"
        "print('read', model.score(rows['X'], rows['y']))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "read 0.9" in done.stdout, done.stderr
    model.integer_network_.save(tmp_path / "network.npz")
    network = IntegerNetwork.load(tmp_path / "network.npz")
    np.testing.assert_array_equal(network.predict(X), model.predict(X))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_searches(n_jobs):
    net = digits(device=DEVICE, max_epochs=3)
    grid = {"lr": [0.005, 0.02], "n_accum_bits": [6, 8]}
    ours, theirs = (
        kind(net, grid, cv=2, n_jobs=n_jobs).fit(X, DIGIT)
        for kind in (PrunedNeuralNetSearchCV, GridSearchCV)
    )
    for key, value in theirs.cv_results_.items():
        if "_time" not in key:
            np.testing.assert_array_equal(ours.cv_results_[key], value, err_msg=key)
    assert_same_network(ours.best_estimator_, theirs.best_estimator_)


def test_trials_in_other_processes():
    settings = {"hidden": "auto", "max_epochs": "auto", "device": DEVICE}
    alone = digits(**settings).fit(X[:400], DIGIT[:400])
    assert_same_network(digits(**settings, n_jobs=2).fit(X[:400], DIGIT[:400]), alone)


@pytest.mark.parametrize("device", [torch.device("cuda"), "cuda:0", torch.device("cuda", 0)])
def test_names_of_a_device(device):
    model = digits(device=device).fit(X, DIGIT)
    assert_same_network(model, digits(device=DEVICE).fit(X, DIGIT))


def test_a_refused_device_leaves_the_others_usable():
    with pytest.raises(ValueError, match="device='cuda:77' is not available") as error:
        digits(device="cuda:77").fit(X, DIGIT)
    assert "\n" not in str(error.value)
    assert is_classifier(digits(device=DEVICE).fit(X, DIGIT))


def test_small_trainings():
    for n_rows in (1, 2, 3, 7):
        model = digits(device=DEVICE, max_epochs=4).fit(X[:n_rows], DIGIT[:n_rows])
        check_limits(model, 2, 2, 2, 8, None, True)
    assert issubclass(FewWeightsWarning, UserWarning)
