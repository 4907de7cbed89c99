"""Devices to train on."""

import pickle

import numpy as np
import pytest
import torch
from samples import NoTraining, X, Y, check_limits, classifier


@pytest.mark.parametrize("device", ["nonsense", 7.5, f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=f"device={device!r} is not available.*device='cpu'"):
        classifier(device=device, callbacks=[NoTraining()]).fit(X, Y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda():
    torch.cuda.manual_seed_all(1)
    before = torch.cuda.get_rng_state()
    model = classifier((16, 8), device="cuda", max_epochs=20, early_stopping=True).fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert model.score(X, Y) > 0.8
    check_limits(model, 2, 2, 2, 8, None, True)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert next(restored.module_.parameters()).device.type == "cpu"
    model.set_params(early_stopping=False).partial_fit(X, Y)
    model.set_params(device="cpu").partial_fit(X, Y)
