import copy
import pickle

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.accumulators import code_range
from qnnprune.encoding._encoding import InputEncoding
from qnnprune.exceptions import AccumulatorOverflowError
from qnnprune.integer import HiddenLayer, IntegerLayer, IntegerNetwork, OutputLayer
from qnnprune.integer._outcome import decode

seeds = st.integers(0, 2**32 - 1)
# Activations of up to 4 bits compare their thresholds, wider ones search them.
shapes = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 4),
        "n_hidden": st.lists(st.integers(1, 5), max_size=3).map(tuple),
        "n_outputs": st.integers(1, 4),
        "n_output_sums": st.integers(1, 3),
        "n_in_bits": st.integers(1, 8),
        "n_a_bits": st.integers(1, 8),
        "n_w_bits": st.integers(2, 8),
    }
)


def _values(rng, n_samples, network):
    """Rows of X, many of them on thresholds of the encoding."""
    X = rng.normal(size=(n_samples, network.n_features_in))
    ties = rng.choice(network.encoding.thresholds, 1, axis=1)[:, 0]
    return np.where((rng.random(X.shape) < 0.5) & np.isfinite(ties), ties, X)


@given(seed=seeds, shape=shapes)
def test_run_equals_a_loop(tiny_network, seed, shape):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    low, high = network.layers[0].input_range.T
    codes = rng.integers(low, high + 1, (7, len(low)))
    expected = [oracles.logits(network.layers, row) for row in codes]
    assert network.run(codes).tolist() == expected
    assert network.run(codes.astype(np.int8)).tolist() == expected


@given(seed=seeds, shape=shapes, n_samples=st.sampled_from([1, 4, 5, 9]))
def test_decision_runs_on_the_input_codes(tiny_network, seed, shape, n_samples):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = _values(rng, n_samples, network)
    codes = network.quantize_input(X)
    low, high = network.layers[0].input_range.T
    assert ((low <= codes) & (codes <= high)).all()
    assert codes.tolist() == [oracles.encode(network.encoding, x) for x in X]
    assert network.decision(X).tolist() == [oracles.decision(network, x) for x in X]


@given(
    seed=seeds,
    shape=shapes,
    n_accum_bits=st.integers(1, 12) | st.integers(1, 62),
    mode=st.sampled_from(["wrap", "saturate"]),
)
def test_simulation_equals_a_loop(tiny_network, seed, shape, n_accum_bits, mode):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = _values(rng, 6, network)
    result = network.simulate(X, n_accum_bits=n_accum_bits, mode=mode)
    registers = oracles.Registers(network.layers, n_accum_bits, mode)
    assert result.decision.tolist() == [oracles.decision(network, x, store=registers) for x in X]
    assert np.array_equal(result.predictions, decode(result.decision, None))
    assert [counts.tolist() for counts in result.overflow_count] == registers.overflows
    assert [a.tolist() for a in result.accumulator_min] == [[*map(min, s)] for s in registers.sums]
    assert [a.tolist() for a in result.accumulator_max] == [[*map(max, s)] for s in registers.sums]
    n_sums = 6 * sum(map(len, registers.overflows))
    assert result.overflow_rate == sum(map(sum, registers.overflows)) / n_sums
    assert (result.n_accum_bits, result.mode, result.n_samples) == (n_accum_bits, mode, 6)


@given(seed=seeds, shape=shapes, n_accum_bits=st.integers(1, 14))
def test_raise_stops_at_an_overflow_and_only_there(tiny_network, seed, shape, n_accum_bits):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = _values(rng, 6, network)
    registers = oracles.Registers(network.layers, n_accum_bits, "saturate")
    for x in X:
        oracles.decision(network, x, store=registers)
    overflowing = [index for index, counts in enumerate(registers.overflows) if any(counts)]
    if not overflowing:
        result = network.simulate(X, n_accum_bits=n_accum_bits, mode="raise")
        assert np.array_equal(result.decision, network.decision(X))
        return
    first = overflowing[0]
    name = "output" if first + 1 == len(network.layers) else f"hidden {first + 1}"
    with pytest.raises(AccumulatorOverflowError, match=f"in layer '{name}' leaves"):
        network.simulate(X, n_accum_bits=n_accum_bits, mode="raise")


@given(seed=seeds, shape=shapes, mode=st.sampled_from(["wrap", "saturate", "raise"]))
def test_the_proven_width_is_enough_for_every_mode(tiny_network, seed, shape, mode):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = _values(rng, 5, network)
    proven = int(max(layer.accumulator_bits.max() for layer in network.layers))
    result = network.simulate(X, n_accum_bits=proven, mode=mode)
    assert np.array_equal(result.decision, network.decision(X))
    assert result.overflow_rate == 0


def _one_bit_network(weight, n_sums=1, **options):
    """Features that are codes of -1 below 0 and of 0 from there on."""
    weight = np.array(weight, dtype=np.int8)
    n_in = weight.shape[1]
    encoding = InputEncoding(np.zeros((n_in, 1)), np.ones(n_in, dtype=np.int64), 1)
    ones = np.ones(len(weight) // n_sums)
    output = OutputLayer(weight, encoding.input_range, scale=ones, bias=0 * ones)
    return IntegerNetwork(encoding, [output], n_w_bits=3, n_accum_bits=2, **options)


def test_registers_are_unsigned_where_no_sum_is_negative():
    network = _one_bit_network([[-3, 0], [3, 0], [-1, 1]])  # sums of 0..3, -3..0 and -1..1
    X = [[-1.0, 1.0], [1.0, -1.0]]
    exact = [[3.0, -3.0, 1.0], [0.0, 0.0, -1.0]]
    assert network.decision(X).tolist() == exact
    wrapped = network.simulate(X)  # 2 bits: 0..3 unsigned, -2..1 signed
    assert wrapped.decision.tolist() == [[3.0, 1.0, 1.0], [0.0, 0.0, -1.0]]
    assert wrapped.overflow_count[0].tolist() == [0, 1, 0]
    clipped = network.simulate(X, n_accum_bits=1, mode="saturate")  # 0..1 and -1..0
    assert clipped.decision.tolist() == [[1.0, -1.0, 0.0], [0.0, 0.0, -1.0]]
    assert clipped.overflow_count[0].tolist() == [1, 1, 1]
    assert clipped.overflow_rate == 0.5
    assert clipped.accumulator_min[0].tolist() == [0, -3, -1]
    assert clipped.accumulator_max[0].tolist() == [3, 0, 1]


def test_each_sum_of_a_logit_has_a_register_of_its_own():
    # The first logit has sums of 0..3 and -1..3, the second of -3..0 and -3..0.
    network = _one_bit_network([[-3, 0], [3, 0], [-3, 1], [0, 3]], n_sums=2)
    X = [[-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]
    assert network.decision(X).tolist() == [[6.0, -3.0], [-1.0, -3.0], [5.0, -6.0]]
    wrapped = network.simulate(X)  # registers of 0..3, -2..1, -2..1 and -2..1
    assert wrapped.decision.tolist() == [[3.0 - 1.0, 1.0], [-1.0, 1.0], [3.0 - 2.0, 1.0 + 1.0]]
    assert wrapped.overflow_count[0].tolist() == [0, 2, 2, 2]
    clipped = network.simulate(X, mode="saturate")
    assert clipped.decision.tolist() == [[3.0 + 1.0, -2.0], [-1.0, -2.0], [3.0 + 1.0, -4.0]]
    assert clipped.accumulator_max[0].tolist() == [3, 0, 3, 0]
    assert network.simulate(X, n_accum_bits=3).overflow_rate == 0  # each sum fits, totals do not
    with pytest.raises(AccumulatorOverflowError, match="neuron 1 in layer 'output'"):
        network.simulate(X, mode="raise")


def test_totals_and_their_range_by_hand():
    layer = _one_bit_network([[-3, 0], [3, 0], [-3, 1], [0, 3]], n_sums=2).layers[-1]
    assert (layer.n_sums, layer.n_logits) == (2, 2)
    assert layer.added_up(np.array([[1, 2, 30, 40]])).tolist() == [[31, 42]]
    assert layer.total_range.tolist() == [[-1, 6], [-6, 0]]


def test_overflow_error_names_the_sum_and_the_way_out():
    network = _one_bit_network([[1, 0], [3, 0]])
    text = (
        r"Row 1: the sum -3 of neuron 1 in layer 'output' leaves n_accum_bits=2 \(-2 to 1\).*wrap"
    )
    with pytest.raises(AccumulatorOverflowError, match=text):
        network.simulate([[1.0, 1.0], [-1.0, 1.0]], mode="raise")
    with pytest.raises(OverflowError):
        network.simulate([[-1.0, 1.0]], mode="raise")


def test_reprs_say_what_it_is_and_hold_no_arrays():
    network = _one_bit_network([[1, 0], [3, 0]])
    assert repr(network) == "IntegerNetwork(2 features, 2 -> 2, n_w_bits=3, n_accum_bits=2)"
    result = network.simulate([[1.0, 1.0]], n_accum_bits=1, mode="saturate")
    assert repr(result).startswith("SimulationResult(n_accum_bits=1, mode='saturate', n_samples=1,")
    assert "array" not in repr(result)


def test_layers_are_told_apart_by_type(tiny_network):
    hidden, output = tiny_network(np.random.default_rng(4), n_hidden=(3,)).layers
    assert isinstance(hidden, HiddenLayer) and isinstance(output, OutputLayer)
    assert isinstance(hidden, IntegerLayer) and isinstance(output, IntegerLayer)
    assert (hidden.scale, hidden.bias) == (output.thresholds, output.output_low) == (None, None)
    for layer, missing in ((HiddenLayer, "thresholds"), (OutputLayer, "scale")):
        with pytest.raises(TypeError, match=missing):
            layer(hidden.weight, hidden.input_range)


def test_proven_bits_and_nonzeros_by_hand():
    network = _one_bit_network([[-3, 0], [3, 0], [-1, 1]])  # sums of 0..3, -3..0 and -1..1
    assert (network.proven_bits, network.nonzeros) == (3, 4)
    assert type(network.proven_bits) is type(network.nonzeros) is int


def test_sums_beyond_single_precision_are_exact():
    weight = np.full((2, 3000), 127, dtype=np.int8)
    weight[0, 0] = 126
    layer = IntegerLayer(weight, np.tile(code_range(8), (3000, 1)))
    acc = layer.accumulate(np.full((1, 3000), 127, dtype=np.int8))
    assert acc.tolist() == [[127 * 127 * 3000 - 127, 127 * 127 * 3000]]


@pytest.mark.parametrize("n_bits", [3, 4])
def test_a_sum_that_equals_a_threshold_reaches_it(n_bits):
    thresholds = np.repeat([[-2, 3]], 2 ** (n_bits - 1), axis=1)[:, 1:]
    layer = HiddenLayer(np.array([[1]]), np.array([[-4, 3]]), thresholds, output_low=-8)
    low, high = 2 ** (n_bits - 1) - 1, 2**n_bits - 1  # repeated thresholds count each time
    codes = layer.requantize(layer.accumulate(np.array([[-3], [-2], [2], [3]])))
    assert codes.ravel().tolist() == [-8, -8 + low, -8 + low, -8 + high]


@pytest.mark.parametrize("mode", [None, "wrap", "saturate"])
def test_blocks_change_nothing(tiny_network, mode):
    # So many codes a row that a block has 65 rows at most.
    rng = np.random.default_rng(0)
    network = tiny_network(rng, n_features=4000, n_hidden=(6, 5), n_outputs=3)
    X = _values(rng, 150, network)
    X = X if mode else network.quantize_input(X)

    def results(rows):
        if mode is None:
            return [network.run(rows)]
        result = network.simulate(rows, n_accum_bits=8, mode=mode)
        seen = (result.overflow_count, result.accumulator_min, result.accumulator_max)
        return [result.decision, *map(np.concatenate, seen)]

    whole = results(X)
    assert mode is None or whole[1].any(), "nothing overflows"
    parts = zip(*(results(X[i : i + 25]) for i in range(0, 150, 25)), strict=True)
    ways = [np.concatenate, np.sum, np.min, np.max]
    for found, part, way in zip(whole, parts, ways, strict=False):
        assert np.array_equal(found, way(part, axis=0))


def test_blocks_keep_the_row_of_an_overflow():
    weight = np.zeros((1, 2**17), dtype=np.int8)  # two rows make a block
    weight[0, 0] = 3
    network = _one_bit_network(weight)
    X = np.ones((5, 2**17))
    X[3, 0] = -1.0
    with pytest.raises(AccumulatorOverflowError, match="Row 3: the sum -3"):
        network.simulate(X, mode="raise")


def test_labels_and_targets():
    two, three = np.array(["no", "yes"]), np.array([10, 20, 30])
    assert decode(np.array([[-1.0], [0.0], [1e-9]]), two).tolist() == ["no", "no", "yes"]
    assert decode(np.array([[0.0, 2.0, 2.0], [1.0, 0.0, -1.0]]), three).tolist() == [20, 10]
    assert decode(np.array([[1.5], [2.5]]), None).tolist() == [1.5, 2.5]
    assert decode(np.array([[1.5, 2.5]]), None).tolist() == [[1.5, 2.5]]
    assert _one_bit_network([[-3, 1]], classes=two).predict([[-1, 0], [0, -1]]).tolist() == [
        "yes",
        "no",
    ]


def test_inputs_of_other_kinds_equal_float_arrays(tiny_network):
    rng = np.random.default_rng(1)
    network = tiny_network(rng, n_features=4, n_outputs=2)
    X = rng.integers(-2, 3, (9, 4)).astype(np.float64)
    expected = network.decision(X)
    sparse = pytest.importorskip("scipy.sparse")
    for other in (X.tolist(), X.astype(np.int8), X.astype(object), sparse.csr_array(X)):
        assert np.array_equal(network.decision(other), expected)
    assert np.array_equal(network.decision(sparse.coo_matrix(X)), expected)


def test_no_rows(tiny_network):
    network = tiny_network(np.random.default_rng(2), n_outputs=3, classes=np.arange(3))
    X = np.empty((0, 3))
    assert network.predict(X).shape == (0,)
    assert network.run(network.quantize_input(X)).shape == (0, 3)
    assert network.simulate(X).overflow_rate == 0


@pytest.mark.parametrize(
    "X, message",
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 2)), r"shape \(2, 2\)"),
        (np.zeros((2, 3, 1)), r"shape \(2, 3, 1\)"),
        ([[0.0, np.nan, 0.0]], "Column 1 contains NaN"),
        ([[0.0, np.inf, 0.0]], "Column 1 contains infinity"),
        ([["a", "b", "c"]], "Column 0 holds text"),
    ],
)
def test_bad_features(tiny_network, X, message):
    network = tiny_network(np.random.default_rng(3))
    for method in (network.decision, network.predict, network.simulate, network.quantize_input):
        with pytest.raises(ValueError, match=message):
            method(X)


@pytest.mark.parametrize(
    "codes, message",
    [
        (np.zeros((2, 3), dtype=np.int8), r"shape \(2, 3\)"),
        (np.zeros(2, dtype=np.int8), r"shape \(2,\)"),
        (np.zeros((2, 2)), "must be integers"),
        (np.zeros((2, 2), dtype=bool), "must be integers"),
        (np.array([[0, 1]]), "within"),
        (np.array([[-2, 0]]), "within"),
        (np.array([[0, 2**64 - 1]], dtype=np.uint64), "within"),
    ],
)
def test_codes_that_the_proof_does_not_cover(codes, message):
    network = _one_bit_network([[1, 2]])
    assert network.run(np.array([[-1, 0]])).tolist() == [[-1.0]]
    with pytest.raises(ValueError, match=message):
        network.run(codes)


@pytest.mark.parametrize(
    "options, name",
    [({"n_accum_bits": bits}, "n_accum_bits") for bits in (0, 63, -1, True, 8.0, "8")]
    + [({"mode": mode}, "mode") for mode in ("exact", "WRAP", None)],
)
def test_bad_simulations_name_the_parameter(options, name):
    network = _one_bit_network([[1, 2]])
    with pytest.raises(ValueError, match=f"{name}={options[name]!r}"):
        network.simulate([[0.0, 0.0]], **options)


def test_a_network_without_an_output_layer_is_refused(tiny_network):
    network = tiny_network(np.random.default_rng(4))
    headless = IntegerNetwork(network.encoding, network.layers[:-1], n_w_bits=3, n_accum_bits=8)
    with pytest.raises(ValueError, match="last layer"):
        headless.decision(np.zeros((1, 3)))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_predict_the_same(tiny_network, copied):
    rng = np.random.default_rng(5)
    network = tiny_network(rng)
    X = _values(rng, 8, network)
    expected = network.decision(X)
    assert np.array_equal(copied(network).decision(X), expected)


def test_columns_in_another_order_are_refused(tiny_network):
    pd = pytest.importorskip("pandas")
    network = tiny_network(np.random.default_rng(0))
    names = [f"f{i}" for i in range(network.n_features_in)]
    named = IntegerNetwork(
        network.encoding,
        network.layers,
        n_w_bits=network.n_w_bits,
        n_accum_bits=network.n_accum_bits,
        feature_names=np.array(names),
    )
    X = pd.DataFrame(np.zeros((3, len(names))), columns=names)
    np.testing.assert_array_equal(named.predict(X), network.predict(X))
    with pytest.raises(ValueError, match="columns"):
        named.predict(X.rename(columns={"f0": "other"}))
