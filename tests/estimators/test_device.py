"""Devices to train on."""

import pytest
import torch
from samples import NoTraining, X, Y, classifier


@pytest.mark.parametrize(
    "device", ["nonsense", 7.5, "meta", "hpu", f"cuda:{torch.cuda.device_count()}"]
)
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=f"device={device!r} is not available.*device='cpu'"):
        classifier(device=device, callbacks=[NoTraining()]).fit(X, Y)
