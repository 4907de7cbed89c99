"""The audit: from a model to what is proven about its sums."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..export._common import integer_network_of
from ..integer import IntegerNetwork
from ._graph import Graph, graph_of, input_value
from ._modules import module_subject
from ._networks import network_subject
from ._registers import Register, register_of
from ._report import AccumulatorProof, Proof, Unknown
from ._search import Subject, find_input
from ._sums import Sums
from ._values import Value, point
from ._walk import Walk, folded
from ._witness import witness_of, worst_witness

__all__ = ["prove"]

_MOST_PRODUCTS = 2e10  # of all tries of one search: a large model gets fewer

# Beyond the ends of what any quantizer can tell apart from its own.
_LARGE = 2.0**20


def prove(
    model,
    n_accum_bits=None,
    *,
    input_range=None,
    input_shape=None,
    n_tries: int = 4000,
    random_state=0,
) -> Proof:
    """Prove what the accumulators of an integer model can reach, for every input.

    Parameters
    ----------
    model : str, path-like, onnx.ModelProto, torch.nn.Module, IntegerNetwork or fitted estimator
        ONNX with integer operators or with quantizers around float ones, QONNX, a module of
        Brevitas layers in eval mode, or a network of this package.  A file is an ONNX model or
        what `IntegerNetwork.save` wrote.
    n_accum_bits : int or str, optional
        Register to prove the sums against: a width from 1 to 62 (two's complement, unsigned
        for sums that are never negative), or "int8", "int16", "int32", "uint8", "uint16",
        "uint32", or a kernel's: "maddubs", whose lanes add up pairs of 8-bit products in 16 bits,
        or "bitnet_i2", whose lanes add up 256 of them.  None reports widths alone.
    input_range : pair, str or dict, optional
        What is known about the model's inputs: smallest and largest number (or arrays of them),
        or an integer type such as "uint8" or "INT4"; a dict has one such entry by name.  By
        default an integer input has the range of its type, and other ones have none.
    input_shape : tuple of int or dict, optional
        Of inputs whose shape is open, batch included; a dict has one by name.  By default an
        open first axis has length 1.  Modules need it.
    n_tries : int, default=4000
        Evaluations of the model, per layer that can overflow, in search of an input of the
        whole model that does; fewer for a large model, 0 for no search.
    random_state : int, RandomState instance or None, default=0
        Of the search.

    Returns
    -------
    Proof
        Prints as a table.  ``proof.holds`` is True only if every sum is known and fits.

    Raises
    ------
    ImportError
        If the model needs a package that is missing.
    OSError
        If the file cannot be opened.
    TypeError
        If `model` is none of these.
    ValueError
        If the file holds none of these, if the model sums no products, if an input has an open
        shape, or if an option has no such value.

    Notes
    -----
    The sums of a layer are taken in exact integers, zero points subtracted.  Ranges of a layer's
    input come from the model's by interval arithmetic: each is exact given the ranges of its
    operands, but elements are taken as independent.  So behind the first layer a witness is an
    input of that layer; whether the model can produce it is what the search tries.

    Later layers are proven under the condition that no earlier sum overflows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier, prove
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), n_accum_bits=6, max_epochs=2, random_state=0)
    >>> prove(net.fit(X, y), n_accum_bits=6).holds
    True
    """
    register = register_of(n_accum_bits)
    if not isinstance(n_tries, (int, np.integer)) or n_tries < 0:
        raise ValueError(f"n_tries={n_tries!r} must be an integer of at least 0.")
    sums, unknown, subject = _read(model, input_range, input_shape)
    if not sums and not unknown:
        raise ValueError("This model sums no products: there is no accumulator to prove.")
    random_state = _random_state(random_state)
    proofs = []
    for index, layer in enumerate(sums):
        proof = _proof_of(layer, register)
        if proof.holds is False and n_tries and subject is not None:
            proof = _with_input(proof, layer, index, register, subject, n_tries, random_state)
        proofs.append(proof)
    return Proof(proofs, [Unknown(*u) for u in unknown], register and register.name)


def _random_state(seed) -> np.random.RandomState:
    return seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)


def _read(model, input_range, input_shape):
    """Sums with ranges, what is unknown, and what the search needs."""
    if isinstance(model, (str, os.PathLike)) and _is_archive(model):
        model = IntegerNetwork.load(model)
    if any(
        c.__module__.startswith("torch.") and c.__name__ == "Module" for c in type(model).__mro__
    ):
        return module_subject(model, input_range, input_shape)
    if isinstance(model, (str, os.PathLike)) or hasattr(model, "SerializeToString"):
        return _graph_subject(folded(graph_of(model)), input_range, input_shape)
    return network_subject(integer_network_of(model))


def _is_archive(path) -> bool:
    with Path(path).open("rb") as file:
        start = file.read(8)
    if start[4:] == b"TFL3":
        raise ValueError(
            f"{os.fspath(path)!r} is a TFLite model: convert it to ONNX (tf2onnx) first."
        )
    return start[:2] == b"PK"


def _graph_subject(graph: Graph, input_range, input_shape):
    names = list(graph.inputs)
    wanted = _by_name("input_range", input_range, names)
    shapes = _by_name("input_shape", input_shape, names)
    inputs = {
        name: input_value(
            name, _closed(name, shape, shapes.get(name)), dtype, wanted.get(name),
            graph.integers.get(name),
        )
        for name, (shape, dtype) in graph.inputs.items()
    }  # fmt: skip
    walk = Walk(graph, inputs)
    batched = all(shape is not None and shape[:1] == [None] for shape, _ in graph.inputs.values())
    box = {name: _finite_box(value) for name, value in inputs.items()}

    def run(arrays, n_sums):
        known = {name: _point_like(inputs[name], array) for name, array in arrays.items()}
        return Walk(graph, known, walk, n_sums).sums

    return walk.sums, walk.unknown, Subject(box, run, batched, _n_products(walk.sums))


def _n_products(sums) -> int:
    return sum(layer.totals[0].size * layer.n_terms for layer in sums)


def _point_like(value: Value, array: np.ndarray) -> Value:
    known = point(array)
    if value.grid is None:
        return known
    codes = array.astype(np.float64)
    return replace(known, grid=replace(value.grid, low=codes, high=codes))


def _by_name(option: str, value, names) -> dict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        return dict.fromkeys(names, value)
    strange = sorted(set(value) - set(names))
    if strange:
        raise ValueError(f"{option} names {strange}, but the inputs of this model are {names}.")
    return value


def _closed(name: str, shape, wanted) -> tuple[int, ...]:
    """A shape without open sizes."""
    if wanted is not None:
        fits = shape is None or (
            len(wanted) == len(shape)
            and all(s in (None, 0, w) for s, w in zip(shape, wanted, strict=True))
        )
        if not fits:
            raise ValueError(
                f"input_shape={tuple(wanted)} does not fit {name!r}, which is {shape}."
            )
        return tuple(wanted)
    if shape is not None and shape[:1] == [None]:
        shape = [1, *shape[1:]]
    if shape is None or None in shape:
        raise ValueError(
            f"Input {name!r} has the open shape {shape}: say which with input_shape, batch included."
        )
    return tuple(shape)


def _finite_box(value: Value):
    if value.low.dtype.kind != "f":
        return value.low, value.high
    if value.grid is not None:
        return value.grid.low.astype(value.low.dtype), value.grid.high.astype(value.low.dtype)
    ends = (np.nan_to_num(e, posinf=_LARGE, neginf=-_LARGE) for e in (value.low, value.high))
    return tuple(ends)


def _proof_of(sums: Sums, register: Register | None) -> AccumulatorProof:
    ranges, overflowing, holds = None, np.zeros(0, np.int64), None
    if register is not None and register.takes(sums):
        ranges = register.ranges(sums)
        limits = register.limits(ranges)
        beyond = (ranges[:, 0] < limits[:, 0]) | (ranges[:, 1] > limits[:, 1])
        overflowing, holds = np.flatnonzero(beyond), not beyond.any()
    return AccumulatorProof(
        sums.name, sums.op, sums.n_terms, sums.input_range, sums.sum_range, sums.partial_range,
        sums.bits, ranges, overflowing, holds, worst_witness(sums, register, ranges),
    )  # fmt: skip


def _with_input(proof, sums, index, register, subject, n_tries, random_state) -> AccumulatorProof:
    """The same proof, with an input of the whole model where one is found."""
    ranges, limits = proof.register_range, register.limits(proof.register_range)
    n_tries = min(n_tries, int(_MOST_PRODUCTS // subject.n_products) + 8)
    try:
        found = find_input(subject, index, sums, register, ranges, limits, n_tries, random_state)
    except LookupError:
        return proof
    if found is None:
        return proof
    inputs, neuron, largest = found
    reached = subject.sums_at(inputs, index, sums)
    ends = register.at(reached, reached.cases[0], neuron)
    bound = int(ends[1].max() if largest else ends[0].min())
    if not (bound > limits[neuron, 1] or bound < limits[neuron, 0]):
        return proof
    witness = witness_of(sums, register, ranges, neuron, largest)
    return replace(proof, witness=replace(witness, inputs=inputs, input_bound=bound))
