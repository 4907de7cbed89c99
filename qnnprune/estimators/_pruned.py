"""What makes an estimator's network quantized, pruned and proven."""

from __future__ import annotations

import numpy as np

from .. import training
from ..accumulators import code_range, weight_budget
from ..pruning import LayerLimits
from ._narrowing import Narrowing
from ._prediction import IntegerPrediction

__all__ = ["Pruned"]


class Pruned(Narrowing, IntegerPrediction):
    """The part of both estimators that knows widths and limits."""

    @property
    def _in_bits(self) -> int:
        return self.n_a_bits if self.n_in_bits is None else self.n_in_bits

    def _check_widths(self):
        """Refuse limits that leave no weight to a neuron, before any training."""
        bits = {"n_in_bits": self._in_bits, "n_a_bits": self.n_a_bits}
        for name, n_bits in bits.items():
            weight_budget(
                self.n_w_bits, n_bits, self.n_accum_bits, self.n_hidden_neurons_multiplier
            )
            if self.accumulator_guarantee and n_bits > self.n_accum_bits:
                raise ValueError(
                    f"n_accum_bits={self.n_accum_bits} cannot hold even one weight of 1 times an "
                    f"input of {n_bits} bits ({name}={n_bits}). Use n_accum_bits of {n_bits} or "
                    f"more, or a smaller {name}."
                )
        if self.n_rounding_bits >= self.n_accum_bits:
            raise ValueError(
                f"n_rounding_bits={self.n_rounding_bits} must be less than "
                f"n_accum_bits={self.n_accum_bits}, as rounding would leave nothing of a sum."
            )

    def _limits(self, encoding) -> tuple[LayerLimits, ...]:
        """The two limits of every layer, from the input to the output."""
        hidden_range = np.array(code_range(self.n_a_bits), dtype=np.int64)
        ranges = [encoding.input_range]
        ranges += [np.tile(hidden_range, (n, 1)) for n in self._hidden_sizes()]
        bits = [self._in_bits] + [self.n_a_bits] * len(self._hidden_sizes())
        n_accum_bits, multiplier = self.n_accum_bits, self.n_hidden_neurons_multiplier
        guaranteed = n_accum_bits if self.accumulator_guarantee else None
        return tuple(
            LayerLimits(r, guaranteed, weight_budget(self.n_w_bits, b, n_accum_bits, multiplier))
            for r, b in zip(ranges, bits, strict=True)
        )

    def _keep(self, trained):
        super()._keep(trained)
        self.integer_network_ = training.compilation.compile_network(
            trained,
            classes=getattr(self, "classes_", None),
            feature_names=getattr(self, "feature_names_in_", None),
        )
