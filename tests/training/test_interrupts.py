"""Interrupts, and errors of callbacks."""

import numpy as np
import pytest
from samples import X, Y, assert_unchanged
from sklearn.exceptions import ConvergenceWarning
from trainings import Interrupt, Recorder, assert_proven, assert_same_state, make


@pytest.mark.parametrize("epoch", [2, 5, 10])
@pytest.mark.parametrize("moment", ["on_batch_end", "on_grad_computed", "on_epoch_begin"])
def test_interrupt_leaves_the_last_whole_epoch(epoch, moment):
    recorder = Recorder()
    model = make(callbacks=[recorder, Interrupt(epoch, moment)], max_epochs=10)
    with pytest.warns(ConvergenceWarning, match=f"epoch {epoch} of 10"):
        model.fit(X, Y)
    assert_proven(model)
    assert model.score(X, Y) == np.mean(model.simulate(X).predictions == Y)
    assert model.n_iter_ == len(model.history_) == epoch - 1
    assert all("train_loss" in record for record in model.history_)
    pruned, state = recorder.epochs[epoch - 2]
    if pruned:
        assert_same_state(model, state)
    for key in ("hidden.0.norm.running_mean", "output.bias"):  # what no pruning changes
        np.testing.assert_array_equal(model.module_.state_dict()[key], state[key])


@pytest.mark.parametrize(("epoch", "fine_tuned"), [(2, False), (7, False), (8, True), (10, True)])
def test_an_interrupt_before_fine_tuning_says_what_to_do(epoch, fine_tuned):
    model = make(callbacks=[Interrupt(epoch)])
    with pytest.warns(ConvergenceWarning, match="interrupted") as warned:
        model.fit(X, Y)
    assert ("warm_start=True" in str(warned[0].message)) != fine_tuned
    before = model.score(X, Y)
    model.set_params(callbacks=None, warm_start=True).fit(X, Y)
    assert model.score(X, Y) > max(0.9, before - 0.05)


@pytest.mark.parametrize(
    "moment", ["on_train_begin", "on_epoch_begin", "on_grad_computed", "on_batch_end"]
)
def test_interrupt_before_the_first_whole_epoch_fails(moment):
    model = make(callbacks=[Interrupt(1, moment)])
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert vars(model) == before


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupt_leaves_an_earlier_fit(method):
    model = make(warm_start=True).fit(X, Y)
    model.set_params(callbacks=[Interrupt(1)])
    before = dict(vars(model))
    predictions = model.predict(X)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(X, Y)
    assert_unchanged(model, before)
    np.testing.assert_array_equal(model.predict(X), predictions)


def test_interrupted_further_training_goes_on_as_if_nothing_happened():
    first, second = (make().fit(X, Y) for _ in range(2))
    second.set_params(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        second.partial_fit(X, Y)
    second.set_params(callbacks=None)
    for model in (first, second):
        model.partial_fit(X, Y)
    assert_same_state(first, {k: v.numpy() for k, v in second.module_.state_dict().items()})


def test_error_in_a_callback_is_the_users_to_see():
    model = make(callbacks=[Interrupt(2, error=ZeroDivisionError)])
    before = dict(vars(model))
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y)
    assert vars(model) == before
