"""Products of int8 matrices: by torch, where it is imported already and knows them in hardware."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import numpy as np

__all__ = ["fast_product"]


def fast_product() -> Callable | None:
    """A function (weight, codes, out) that multiplies int8 into int32; None: BLAS is best.

    torch is not imported for it: that takes longer than most predictions.
    """
    torch = sys.modules.get("torch")
    return _product_of(torch) if torch is not None else None


@cache
def _product_of(torch) -> Callable | None:
    def product(weight, codes, out):
        tensors = map(torch.from_numpy, (weight, codes))
        torch._int_mm(*tensors, out=torch.from_numpy(out))
        return out

    try:
        usable = torch.cpu._is_vnni_supported() and _is_exact(product)
    except (AttributeError, RuntimeError, TypeError):  # a torch that has it not
        return None
    return product if usable else None


def _is_exact(product) -> bool:
    """Whether extremes come out as integers have it: some processors saturate in between."""
    ends = np.array([-128, -127, 127, 1], dtype=np.int8)
    left, right = np.resize(ends, (16, 64)), np.resize(ends[::-1], (64, 32))
    found = product(left, right, np.empty((16, 32), dtype=np.int32))
    return np.array_equal(found, left.astype(np.int64) @ right.astype(np.int64))
