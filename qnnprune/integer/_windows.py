"""Windows of a convolution or a pool over all spatial axes, as views by strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A kernel that moves over the positions of its input.

    Attributes
    ----------
    size, stride, padding, dilation : tuple of int
        One number per spatial axis; padding is that of each side.

    Examples
    --------
    >>> window = Window(size=(2,), stride=(1,), padding=(0,), dilation=(1,))
    >>> window.view(np.array([[[1, 2, 3]]]), 0).tolist()
    [[[[1, 2], [2, 3]]]]
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def __post_init__(self):
        for name in ("size", "stride", "padding", "dilation"):
            object.__setattr__(self, name, tuple(int(n) for n in getattr(self, name)))

    @property
    def is_padded(self) -> bool:
        """Whether some windows reach beyond the input."""
        return any(self.padding)

    @property
    def spans(self) -> tuple[int, ...]:
        """Positions from the first to the last of a window, on each axis."""
        return tuple((n - 1) * d + 1 for n, d in zip(self.size, self.dilation, strict=True))

    def positions(self, shape: Sequence[int]) -> tuple[int, ...]:
        """How many windows there are on each axis of an input of that size."""
        sides = zip(shape, self.padding, self.spans, self.stride, strict=True)
        return tuple((n + 2 * padding - span) // step + 1 for n, padding, span, step in sides)

    def slices(self, positions: Sequence[int]) -> list[tuple[slice, ...]]:
        """Where all windows have their first value, their second one, and so on.

        Parameters
        ----------
        positions : sequence of int
            How many windows there are on each axis.

        Returns
        -------
        list of tuples of slice
            One slice per axis of the input, whose border is part of it.

        Examples
        --------
        >>> window = Window(size=(2,), stride=(2,), padding=(0,), dilation=(1,))
        >>> [[1, 2, 3, 4][index] for (index,) in window.slices((2,))]
        [[1, 3], [2, 4]]
        """
        axes = [
            [slice(k * dilation, k * dilation + (n - 1) * stride + 1, stride) for k in range(size)]
            for n, size, stride, dilation in zip(
                positions, self.size, self.stride, self.dilation, strict=True
            )
        ]
        return list(product(*axes))

    def view(self, values: np.ndarray, outside) -> np.ndarray:
        """All windows.

        Parameters
        ----------
        values : array of shape (n, n_channels, *axes)
        outside : number
            What padded positions hold.

        Returns
        -------
        array of shape (n, n_channels, *positions, *size)
            Not to be written to.
        """
        if self.is_padded:
            sides = [(0, 0), (0, 0), *((p, p) for p in self.padding)]
            values = np.pad(values, sides, constant_values=outside)
        axes = tuple(range(2, values.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(values, self.spans, axis=axes)
        steps = [slice(None, None, step) for step in (*self.stride, *self.dilation)]
        return windows[(slice(None), slice(None), *steps)]
