"""Integer graphs against loops in Python's own integers, and every input of a tiny one."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import register, width

from qnnprune import IntegerGraph
from qnnprune.exceptions import AccumulatorOverflowError, InvalidNetworkFileError
from qnnprune.integer._inputs import CodedInput
from qnnprune.integer._operations import Add, Concat, Flatten, MaxPool, Sums, Thresholds
from qnnprune.integer._windows import Window


def pixel(image, channel, row, column, outside):
    """A position of an image as nested lists; `outside` beyond its border."""
    inside = 0 <= row < len(image[0]) and 0 <= column < len(image[0][0])
    return image[channel][row][column] if inside else outside


def convolved(image, weight, window, groups, outside):
    """A convolution of nested lists, one product after the other."""
    n_in, (height, width_) = len(weight[0]), window.positions((len(image[0]), len(image[0][0])))
    result = []
    for o, kernel in enumerate(weight):
        first = o // (len(weight) // groups) * n_in
        plane = []
        for i, j in product(range(height), range(width_)):
            total = 0
            for c, u, v in product(range(n_in), range(window.size[0]), range(window.size[1])):
                row = i * window.stride[0] - window.padding[0] + u * window.dilation[0]
                column = j * window.stride[1] - window.padding[1] + v * window.dilation[1]
                total += kernel[c][u][v] * pixel(image, first + c, row, column, outside)
            plane.append(total)
        result.append(plane)
    return result


pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=pairs,
    dilation=pairs,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 2, 4]),
    outside=st.integers(-2, 3),
    seed=st.integers(0, 10**6),
)
def test_convolutions_are_their_loops(size, stride, dilation, padding, groups, outside, seed):
    rng = np.random.default_rng(seed)
    window = Window(size, stride, padding, dilation)
    weight = rng.integers(-3, 4, (4, 4 // groups, *size))
    codes = rng.integers(-2, 4, (2, 4, 6, 7))
    operation = Sums("conv", (0,), weight, window, groups, outside)
    sums = operation.apply([codes])
    for image, found in zip(codes.tolist(), sums, strict=True):
        expected = convolved(image, weight.tolist(), window, groups, outside)
        assert found.reshape(4, -1).tolist() == expected


def tiny(thresholds=((-1, 2), (0, 1))):
    """One channel of three positions, two filters, a maximum, two outputs."""
    window = Window((2,), (1,), (1,), (1,))
    return IntegerGraph(
        CodedInput((1, 3), np.array([[-1, 2]])),
        [
            Sums("conv", (0,), np.array([[[1, -2]], [[2, 1]]]), window, 1, 0),
            Thresholds("act", (1,), np.array(thresholds), np.array([0, 2]), np.array([1, -1])),
            MaxPool("pool", (2,), Window((2,), (2,), (0,), (1,))),
            Flatten("flat", (3,)),
            Sums("out", (4,), np.array([[1, -1, 2, 1], [0, 3, -1, -2]])),
        ],
        scale=[0.5, 0.25],
        bias=[1.0, -1.0],
    )


def tiny_by_hand(row):
    """The same, position by position."""
    padded = [0, *row, 0]
    hidden = []
    for weight, limits, first, slope in (((1, -2), (-1, 2), 0, 1), ((2, 1), (0, 1), 2, -1)):
        sums = [weight[0] * a + weight[1] * b for a, b in zip(padded, padded[1:], strict=False)]
        codes = [first + slope * sum(s >= t for t in limits) for s in sums]
        hidden += [max(codes[:2]), max(codes[2:])]
    outs = [(1, -1, 2, 1), (0, 3, -1, -2)]
    return [sum(w * h for w, h in zip(out, hidden, strict=True)) for out in outs]


def test_every_input_of_a_tiny_graph():
    graph = tiny()
    rows = np.array(list(product(range(-1, 3), repeat=3)))
    sums = np.array([tiny_by_hand(row) for row in rows.tolist()])
    assert np.array_equal(graph.run(rows[:, None]), sums * [0.5, 0.25] + [1.0, -1.0])
    seen = graph.values(rows[:, None].astype(np.int32))
    for place, values in enumerate(seen):
        found = np.moveaxis(np.asarray(values), 1, 0).reshape(values.shape[1], -1)
        low, high = graph.ranges[place].T
        assert (found.min(axis=1) >= low).all() and (found.max(axis=1) <= high).all()
    # The first filter reaches both ends of its proven range.
    first = np.asarray(seen[1])[:, 0]
    assert [first.min(), first.max()] == graph.ranges[1][0].tolist() == [-5, 4]


def test_widths_are_those_of_the_ranges():
    graph = tiny()
    assert graph.accumulator_bits["conv"].tolist() == [width(-5, 4), width(-3, 6)]
    assert graph.proven_bits == max(int(b.max()) for b in graph.accumulator_bits.values())


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_registers_of_any_width(mode):
    graph, bits = tiny(), 3
    rows = np.array(list(product(range(-1, 3), repeat=3)))[:, None]
    result = graph.simulate(rows, n_accum_bits=bits, mode=mode)
    first, last = register(bits, signed=True)
    exact = np.asarray(graph.values(rows.astype(np.int32))[1])
    over = [
        [not first <= value <= last for value in channel.ravel()]
        for channel in exact.swapaxes(0, 1)
    ]
    assert result.overflow_count[0].tolist() == [sum(channel) for channel in over]
    assert result.positions == (4, 1)
    assert 0 < result.overflow_rate < 1

    def kept(value):
        if mode == "saturate":
            return min(max(value, first), last)
        return (value - first) % 2**bits + first

    narrow = np.vectorize(kept)(exact.astype(int))
    codes = graph.operations[1].apply([narrow])
    rest = graph.operations[3].apply([graph.operations[2].apply([codes])])
    sums = np.vectorize(kept)(graph.operations[4].apply([rest]).astype(int))
    assert np.array_equal(result.decision, sums * [0.5, 0.25] + [1.0, -1.0])
    with pytest.raises(AccumulatorOverflowError, match="Row 0: the sum"):
        graph.simulate(rows, n_accum_bits=2, mode="raise")


def test_branches():
    graph = IntegerGraph(
        CodedInput((2,), np.array([[0, 3], [-1, 1]])),
        [Add("add", (0, 0), (2, -1)), Concat("cat", (1, 0))],
        scale=np.ones(4),
        bias=np.zeros(4),
    )
    assert graph.run(np.array([[3, -1]])).tolist() == [[3, -1, 3, -1]]
    # Branches count as independent of each other.
    assert graph.ranges[1].tolist() == [[-3, 6], [-3, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (3,)}, "reads ahead"),
        ({"weight": np.ones((2, 2, 2), int)}, "1 channels come in"),
        ({"weight": np.ones((2, 1, 3), int)}, "its window has size"),
        ({"weight": np.ones((2, 1, 2))}, "weight has dtype"),
    ],
)
def test_contradictions_are_refused(change, message):
    from dataclasses import replace

    graph = tiny()
    operations = [replace(graph.operations[0], **change), *graph.operations[1:]]
    with pytest.raises(ValueError, match=message):
        IntegerGraph(graph.input, operations, scale=graph.scale, bias=graph.bias)


def test_thresholds_must_ascend():
    with pytest.raises(ValueError, match="'act': thresholds not ascending"):
        tiny(thresholds=((2, -1), (0, 1)))


def test_files_are_read_by_numpy_alone(tmp_path):
    graph = tiny()
    graph.save(tmp_path / "net.npz")
    code = (
        "import sys, numpy as np\n"
        "from qnnprune import IntegerGraph\n"
        "graph = IntegerGraph.load(sys.argv[1])\n"
        "print(graph.run(np.array([[[2, -1, 0]]])).tolist())\n"
        "assert not {'torch', 'brevitas', 'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "net.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(graph.run(np.array([[[2, -1, 0]]])).tolist())


def test_a_file_whose_proof_is_wrong_is_refused(tmp_path):
    from qnnprune.integer._graph_arrays import arrays_of
    from qnnprune.integer._storage import pack

    arrays = arrays_of(tiny())
    arrays["operations.0.range"] = arrays["operations.0.range"] + 1
    (tmp_path / "net.npz").write_bytes(pack(arrays))
    with pytest.raises(InvalidNetworkFileError, match="operations.0.range differs"):
        IntegerGraph.load(tmp_path / "net.npz")


@pytest.mark.parametrize(
    "key", ["operations.0.window", "operations.1.first", "scale", "input.range"]
)
def test_a_file_that_lacks_something_is_refused(key, tmp_path):
    from qnnprune.integer._graph_arrays import arrays_of
    from qnnprune.integer._storage import pack

    arrays = arrays_of(tiny())
    del arrays[key]
    (tmp_path / "net.npz").write_bytes(pack(arrays))
    with pytest.raises(InvalidNetworkFileError, match="lacks|is linear|not linear"):
        IntegerGraph.load(tmp_path / "net.npz")


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    tiny().save(path)
    data = path.read_bytes()
    for end in range(0, len(data), 997):
        path.write_bytes(data[:end])
        with pytest.raises(InvalidNetworkFileError):
            IntegerGraph.load(path)
