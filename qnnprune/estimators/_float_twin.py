"""Float twins: the same training without quantization and pruning, to compare scores with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils import row_blocks

__all__ = ["FloatTwin"]


class FloatTwin:
    """Replaces what quantizes, prunes, proves and compiles."""

    _in_bits = 8  # 256 levels a segment: as good as continuous

    def _check_widths(self):
        """No accumulator has a width."""

    def _limits(self, encoding):
        return None  # nothing is pruned

    def _make_pruner(self, limits, module, start):
        return None

    def _network_shape(self):
        shape = super()._network_shape()
        return replace(shape, n_w_bits=None, n_a_bits=None, n_rounding_bits=0)

    def _finish(self, net, table, limits):
        self._keep_training_state(net, table.encoding)

    @property
    def module_(self):
        """The trained module, in eval mode and in float64."""
        return super().module_.double()

    def _decision(self, X):
        import torch

        check_is_fitted(self, "_module_state")
        X = self._validated(X)
        mean, scale = self._output_map()
        result = np.empty((X.shape[0], self._n_outputs()))
        with torch.no_grad():
            for rows in row_blocks(X.shape[0], len(self._encoding.feature)):
                block = X[rows].toarray() if hasattr(X, "toarray") else X[rows]
                levels = torch.from_numpy(self._encoding.levels(block))
                result[rows] = self.module_(levels).numpy() * scale + mean
        return result

    def simulate(self, *args, **kwargs):
        """Not available: a float network has no accumulators of integer codes."""
        raise AttributeError(
            "A float twin has no integer accumulators: ask the quantized estimator."
        )

    accumulator_report = simulate

    def prune(self, *args, **kwargs):
        """Not available: a float twin keeps all weights."""
        raise AttributeError("A float twin is not pruned: prune the quantized estimator.")

    narrow_accumulator = prune
