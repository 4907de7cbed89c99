"""What makes an estimator's network quantized, pruned and proven."""

from __future__ import annotations

import warnings
from functools import cached_property

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import training
from .._utils import user_stacklevel
from ..accumulators import ordinary_weights, weight_budget
from ..exceptions import FewWeightsWarning
from ..integer import IntegerNetwork
from ..integer._report import FEW_WEIGHTS
from ..training.spec import Mode
from ._narrowing import Narrowing
from ._prediction import IntegerPrediction

__all__ = ["Pruned"]


class Pruned(Narrowing, IntegerPrediction):
    """The part of both estimators that knows widths and limits."""

    def _check_widths(self, recipe):
        """Refuse widths that leave no weight to a neuron."""
        bits = {"n_in_bits": recipe.n_in_bits, "n_a_bits": recipe.n_a_bits}
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
        if self.skip_connection and recipe.n_in_bits > recipe.n_a_bits:
            raise ValueError(
                f"skip_connection=True takes input codes of n_in_bits={recipe.n_in_bits} through the "
                f"hidden layers, whose codes have n_a_bits={recipe.n_a_bits}. Use n_in_bits of "
                f"{recipe.n_a_bits} or less, a larger n_a_bits, or skip_connection=False."
            )
        if self.n_rounding_bits >= self.n_accum_bits:
            raise ValueError(
                f"n_rounding_bits={self.n_rounding_bits} must be less than "
                f"n_accum_bits={self.n_accum_bits}, as rounding would leave nothing of a sum."
            )

    def _warn_of(self, recipes, encodings):
        """Say so before the training where a neuron can keep only a few weights, as recipes go."""
        found = [self._few_weights(recipe, encodings[recipe.resolution]) for recipe in recipes]
        if all(found):
            layer, fitting, n_in, name, bits = found[0]
            warnings.warn(
                f"A neuron of layer '{layer}' can keep only about {max(1, round(fitting))} of its "
                f"{n_in} weights, too few for most data: n_w_bits={self.n_w_bits} and {name}="
                f"{bits} are wide for n_accum_bits={self.n_accum_bits}. {self._way_out(bits)}",
                FewWeightsWarning,
                stacklevel=user_stacklevel(),
            )

    def _few_weights(self, recipe, encoding) -> tuple | None:
        """The first layer whose neurons can keep only a few weights."""
        spec = self._spec()
        limits, widths = spec.limits(recipe, encoding), spec.input_bits(recipe)
        for index, (limit, bits) in enumerate(zip(limits, widths, strict=True)):
            name, n_in = "n_a_bits" if index else "n_in_bits", len(limit.input_range)
            fitting = np.inf if limit.budget is None else limit.budget
            if limit.n_accum_bits is not None:
                fitting = min(fitting, ordinary_weights(self.n_w_bits, bits, self.n_accum_bits))
            if fitting < min(FEW_WEIGHTS, n_in):
                layer = "output" if index + 1 == len(limits) else f"hidden {index + 1}"
                return layer, fitting, n_in, name, bits
        return None

    def _way_out(self, n_in_bits) -> str:
        """Widths of the accumulator, or of weights and codes, that leave more weights."""

        def enough(n_w_bits, n_in_bits, n_accum_bits):
            return ordinary_weights(n_w_bits, n_in_bits, n_accum_bits) >= FEW_WEIGHTS

        ways = []
        if self.n_hidden_neurons_multiplier is not None:
            ways.append(f"n_hidden_neurons_multiplier above {self.n_hidden_neurons_multiplier:g}")
        wider = next(b for b in range(self.n_accum_bits, 99) if enough(self.n_w_bits, n_in_bits, b))
        if wider > self.n_accum_bits:
            ways.append(f"n_accum_bits={wider} or more")
        for bits in range(max(self.n_w_bits, n_in_bits), 1, -1):
            narrower = min(bits, self.n_w_bits), min(bits, n_in_bits)
            if narrower != (self.n_w_bits, n_in_bits) and enough(*narrower, self.n_accum_bits):
                ways.append("n_w_bits={} with n_a_bits and n_in_bits of {}".format(*narrower))
                break
        return f"Use {', or '.join(ways)}."

    def _become_fitted(self, trained, mode):
        super()._become_fitted(trained, mode)
        self.__dict__.pop("integer_network_", None)
        if mode is not Mode.PARTIAL_FIT:
            self.integer_network_  # noqa: B018 - the proof is part of a fit

    @cached_property
    def integer_network_(self) -> IntegerNetwork:
        """The network in integers; after `partial_fit` compiled and verified at first use."""
        check_is_fitted(self)
        return training.compilation.compile_network(
            self._trained,
            classes=getattr(self, "classes_", None),
            feature_names=getattr(self, "feature_names_in_", None),
        )

    def __getstate__(self):
        if hasattr(self, "_trained"):
            self.integer_network_  # noqa: B018 - a pickle predicts without torch
        return super().__getstate__()
