"""How a layer's input and weights become sums of products, and sums become its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

__all__ = ["Shapes", "Unreadable", "conv_shapes", "matmul_shapes"]


class Unreadable(Exception):
    """A node that sums products in a way that is not understood; the text says why."""


@dataclass(eq=False)
class Shapes:
    """How a layer's input and weights become sums, and sums become its output."""

    arrange: Callable
    restore: Callable
    weight: Callable
    orders: tuple[np.ndarray, ...]


def matmul_shapes(x_shape, w_shape) -> Shapes:
    """Of ``x @ w``; both have at least two axes."""
    n_terms, n_out = w_shape[-2:]
    if x_shape[-1] != n_terms:
        raise Unreadable(f"shapes {x_shape} and {w_shape} do not multiply")
    orders = (np.arange(n_terms),)
    if len(w_shape) == 2:
        return Shapes(
            lambda t, pad: t.reshape(1, 1, -1, n_terms),
            lambda sums: sums.reshape(*x_shape[:-1], n_out),
            lambda w: w.reshape(1, n_terms, n_out),
            orders,
        )
    batch = np.broadcast_shapes(x_shape[:-2], w_shape[:-2])
    rows, groups = x_shape[-2], prod(batch)
    return Shapes(
        lambda t, pad: np.broadcast_to(t, (*batch, rows, n_terms)).reshape(
            1, groups, rows, n_terms
        ),
        lambda sums: sums.reshape(*batch, rows, n_out),
        lambda w: np.broadcast_to(w, (*batch, n_terms, n_out)).reshape(groups, n_terms, n_out),
        orders,
    )


def conv_shapes(attributes: dict, x_shape, w_shape) -> Shapes:
    """Of a convolution; attributes as ONNX has them."""
    batch, channels, *size = x_shape
    n_out, per_group, *kernel = w_shape
    groups, n_axes = attributes.get("group", 1), len(size)
    strides = attributes.get("strides") or [1] * n_axes
    dilations = attributes.get("dilations") or [1] * n_axes
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = _pads(attributes, size, spans, strides)
    n_terms = per_group * prod(kernel)
    out = [(s + sum(p) - w) // t + 1 for s, p, w, t in zip(size, pads, spans, strides, strict=True)]
    if channels != per_group * groups or min(out) < 1:
        raise Unreadable(f"shapes {x_shape} and {w_shape} do not convolve")

    def arrange(tensor, pad):
        padded = np.pad(tensor, [(0, 0), (0, 0), *pads], constant_values=pad)
        axes = tuple(range(2, 2 + n_axes))
        windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
        steps = [slice(None), slice(None), *(slice(None, None, s) for s in (*strides, *dilations))]
        windows = windows[tuple(steps)].reshape(batch, groups, per_group, prod(out), prod(kernel))
        return np.moveaxis(windows, 3, 2).reshape(batch, groups, prod(out), n_terms)

    by_place = np.arange(n_terms).reshape(per_group, -1).T.ravel()
    return Shapes(
        arrange,
        lambda sums: np.moveaxis(sums, 3, 2).reshape(batch, n_out, *out),
        lambda w: np.moveaxis(w.reshape(groups, n_out // groups, n_terms), 1, 2),
        (np.arange(n_terms), by_place),
    )


def _pads(attributes: dict, size, spans, strides) -> list[tuple[int, int]]:
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", ""):
        pads = attributes.get("pads") or [0] * (2 * len(size))
        return list(zip(pads[: len(size)], pads[len(size) :], strict=True))
    if automatic == "VALID":
        return [(0, 0)] * len(size)
    found = []
    for n, span, stride in zip(size, spans, strides, strict=True):
        total = max(0, (-(-n // stride) - 1) * stride + span - n)
        less = total // 2
        found.append((less, total - less) if automatic == "SAME_UPPER" else (total - less, less))
    return found
