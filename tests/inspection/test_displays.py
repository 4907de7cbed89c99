"""Pictures: the numbers behind them, and that they are drawn whatever the network is."""

import copy

import numpy as np
import oracles
import pytest
from sklearn.metrics import r2_score

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, inspection
from qnnprune.estimators import NarrowingCurve

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def _no_open_figures():
    yield
    plt.close("all")


@pytest.fixture
def network(tiny_network):
    return tiny_network(
        np.random.default_rng(1), n_features=5, n_hidden=(40, 6), n_outputs=3,
        classes=np.array(["a", "b", "c"]),
    )  # fmt: skip


@pytest.fixture
def rows():
    return np.random.default_rng(2).normal(size=(30, 5))


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    net = PrunedNeuralNetClassifier((12,), n_accum_bits=8, max_epochs=10, random_state=0)
    return net.fit(X, y), X, y


def _sums(network, rows):
    """Exact sums by layer, neuron and row, in Python's integers."""
    registers = oracles.Registers(network.layers, 62, "wrap")
    for x in rows:
        oracles.decision(network, x, store=registers)
    return registers.sums


# ------------------------------------------------------------ data behind them


def test_widths_are_scored_in_their_registers(network, rows):
    y = np.resize(["a", "b", "c"], len(rows))
    found = inspection.AccumulatorWidthDisplay.from_estimator(network, rows, y)
    proven = oracles.widest(network)
    assert found.proven_bits == proven
    assert found.n_accum_bits.tolist() == list(range(proven - 5, proven + 1))
    for bits, score, rate in zip(found.n_accum_bits, found.score, found.overflow_rate, strict=True):
        registers = oracles.Registers(network.layers, int(bits), "wrap")
        logits = [oracles.decision(network, x, store=registers) for x in rows]
        labels = network.classes[np.argmax(logits, axis=1)]
        assert score == np.mean(labels == y)
        n_sums = len(rows) * sum(map(len, registers.overflows))
        assert rate == pytest.approx(sum(map(sum, registers.overflows)) / n_sums)
    assert found.overflow_rate[-1] == 0 < found.overflow_rate[0]


def test_regressors_are_scored_by_r2(tiny_network):
    rng = np.random.default_rng(3)
    network, X, y = tiny_network(rng), rng.normal(size=(9, 3)), rng.normal(size=9)
    found = inspection.AccumulatorWidthDisplay.from_estimator(network, X, y, n_accum_bits=[62, 2])
    assert found.n_accum_bits.tolist() == [2, 62]
    assert found.score[1] == r2_score(y, network.predict(X))
    assert found.score_name == "R²"


def test_pruned_networks_and_curves_give_the_same_points(fitted):
    net, X, y = fitted
    narrow = copy.deepcopy(net).prune(X, y, n_accum_bits=6, max_epochs=2)
    found = inspection.AccumulatorWidthDisplay.from_estimator(net, X, y, pruned=[net, narrow])
    assert found.pruned_bits.tolist() == [6, 8]
    assert found.pruned_score.tolist() == [narrow.score(X, y), net.score(X, y)]
    curve = NarrowingCurve((8, 6), (net.score(X, y), narrow.score(X, y)), (9, 8), best=6)
    again = inspection.AccumulatorWidthDisplay.from_estimator(net, X, y, pruned=curve)
    assert again.pruned_score.tolist() == found.pruned_score.tolist()


def test_histograms_hold_every_sum_once(network, rows):
    found = inspection.AccumulatorHistogramDisplay.from_estimator(network, rows, n_accum_bits=5)
    assert found.names == ["hidden 1", "hidden 2", "output"]
    for layer, sums in enumerate(_sums(network, rows)):
        every = [value for of_neuron in sums for value in of_neuron]
        edges = found.edges[layer]
        expected, _ = np.histogram(every, bins=edges - 0.5)
        assert found.counts[layer].tolist() == expected.tolist()
        assert found.counts[layer].sum() == len(every)
        ranges = oracles.accumulator_ranges(network.layers[layer])
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        assert found.proven_range[layer].tolist() == [low, high]
        assert edges[0] == low and edges[-1] > high
        registers = [oracles.register(5, signed=r[0] < 0) for r in ranges]
        ends = [min(r[0] for r in registers), max(r[1] for r in registers)]
        assert found.register[layer].tolist() == ends


def test_overflow_is_a_share_of_each_neurons_sums(network, rows):
    found = inspection.OverflowDisplay.from_estimator(network, rows, n_accum_bits=4)
    registers = oracles.Registers(network.layers, 4, "wrap")
    for x in rows:
        oracles.decision(network, x, store=registers)
    for rate, counts in zip(found.overflow_rate, registers.overflows, strict=True):
        assert rate == pytest.approx(np.array(counts) / len(rows))
    image = found.axes_[0, 0].images[0].get_array()
    assert image.shape == (2, 32), "40 neurons, 32 to a line"
    np.testing.assert_allclose(image.ravel()[:40].data, 100 * found.overflow_rate[0])
    assert image.mask.ravel()[40:].all()


def test_results_are_frames_and_pictures(network, rows):
    pytest.importorskip("pandas")
    result = network.simulate(rows, n_accum_bits=4, mode="saturate", per=2)
    frame = result.to_frame()
    assert len(frame) == 40 + 6 + 3
    assert frame.layer.value_counts().to_dict() == {"hidden 1": 40, "hidden 2": 6, "output": 3}
    of_output = frame[frame.layer == "output"]
    assert of_output.neuron.tolist() == [0, 1, 2]
    assert of_output.overflow_count.tolist() == result.overflow_count[-1].tolist()
    assert of_output.accumulator_max.tolist() == result.accumulator_max[-1].tolist()
    assert result.plot().title == "registers of 4 bits (saturate, per=2)"


def test_a_report_shows_proven_and_observed_widths(network, rows):
    found = network.accumulator_report(rows).plot()
    widths = [
        max(oracles.width(*pair) for pair in oracles.accumulator_ranges(layer))
        for layer in network.layers
    ]
    assert found.proven_bits.tolist() == widths
    seen = [
        max(oracles.width(min(sums), max(sums), always_signed=False) for sums in of_layer)
        for of_layer in _sums(network, rows)
    ]
    assert found.observed_bits.tolist() == seen
    assert found.limit_bits == [8, 8, 8]
    again = inspection.ProofDisplay.from_estimator(network)
    assert again.observed_bits is None


def test_weights_are_those_of_the_integer_network(fitted):
    net, X, y = fitted
    narrow = copy.deepcopy(net).prune(X, y, n_accum_bits=5, max_epochs=2)
    found = inspection.WeightDisplay.from_estimators(net, narrow)
    for codes, estimator in ((found.before, net), (found.after, narrow)):
        # The network has the same rows in their order, less neurons that make no difference.
        of_network = estimator.integer_network_.layers[0].weight.tolist()
        drawn = codes[0].tolist()
        assert len(drawn) == 12
        assert all(row in drawn for row in of_network)
    assert np.count_nonzero(found.after[0]) < np.count_nonzero(found.before[0])
    with pytest.raises(TypeError, match="pass the fitted estimator"):
        inspection.WeightDisplay.from_estimators(net, narrow.integer_network_)


def test_nonzeros_stand_beside_omega_and_budget(fitted):
    _, X, y = fitted
    net = PrunedNeuralNetClassifier(
        (12,), n_accum_bits=8, n_hidden_neurons_multiplier=0.5, max_epochs=3, n_a_bits=2,
        n_in_bits=2, random_state=0,
    ).fit(X, y)  # fmt: skip
    found = inspection.NonzerosDisplay.from_estimator(net)
    assert found.omega == [oracles.omega(2, 2, 8)] * 2 == [28, 28]
    assert found.budget == [14, 14]
    for counts, layer in zip(found.nonzeros, net.integer_network_.layers, strict=True):
        assert counts.tolist() == [sum(w != 0 for w in row) for row in layer.weight.tolist()]
    assert inspection.NonzerosDisplay.from_estimator(net.integer_network_).budget == [None, None]


def test_a_training_shades_its_pruning_phase(fitted):
    net, X, y = fitted
    found = inspection.TrainingDisplay.from_estimator(net)
    assert found.train_loss.tolist() == [epoch["train_loss"] for epoch in net.history_]
    assert found.valid_score is None
    # Of 10 epochs the phase begins after the first tenth and ends with six tenths.
    assert found.epoch[found.pruning_epochs].tolist() == [3, 4, 5, 6, 7]
    twice = copy.deepcopy(net).prune(X, y, n_accum_bits=6, max_epochs=10)
    found = inspection.TrainingDisplay.from_estimator(twice)
    assert found.epoch[found.pruning_epochs].tolist() == [3, 4, 5, 6, 7, 13, 14, 15, 16, 17]
    warm = copy.deepcopy(net).set_params(warm_start=True).fit(X, y)
    found = inspection.TrainingDisplay.from_estimator(warm)
    assert found.epoch[found.pruning_epochs].tolist() == [3, 4, 5, 6, 7]


def test_float_twins_have_a_curve_without_pruning(fitted):
    _, X, y = fitted
    twin = PrunedNeuralNetClassifier((4,), max_epochs=3, random_state=0).float_twin().fit(X, y)
    found = inspection.TrainingDisplay.from_estimator(twin)
    assert found.weights_left is None and not found.pruning_epochs.any()


def test_the_front_by_hand():
    found = inspection.ParetoDisplay(
        [0.9, 0.8, 0.9, 0.7, 0.95], {"width": [8, 6, 7, 7, 9], "bytes": [1, 1, 1, 1, 1]}
    )
    assert found.front["width"].tolist() == [False, True, True, False, True]
    assert found.front["bytes"].tolist() == [False, False, False, False, True]
    assert found.plot().axes_.shape == (2, 1)


def test_costs_of_networks(fitted):
    net, X, y = fitted
    narrow = copy.deepcopy(net).prune(X, y, n_accum_bits=5, max_epochs=2)
    nets, costs = [net, narrow], ("width", "weights", "bytes", "lookups")
    found = inspection.ParetoDisplay.from_estimators(nets, X, y, costs=costs, labels=["a", "b"])
    assert found.score.tolist() == [each.score(X, y) for each in nets]
    widths = [oracles.widest(each.integer_network_) for each in nets]
    assert found.costs["width"].tolist() == widths
    assert found.costs["weights"].tolist() == [each.integer_network_.nonzeros for each in nets]
    hidden = [len(each.integer_network_.layers[0].weight) for each in nets]
    assert (found.costs["lookups"] <= hidden).all() and (found.costs["lookups"] > 0).all()
    with pytest.raises(ValueError, match="costs=.*unlike"):
        inspection.ParetoDisplay.from_estimators(nets, X, y, costs=["price"])


# ------------------------------------------------------------ any network, any axes


@pytest.mark.parametrize("one_class", [False, True])
def test_tiny_networks_are_drawn(one_class):
    X, y = np.zeros((4, 1)), np.zeros(4) if one_class else np.array([0, 1, 0, 1])
    X[1::2] = 1
    net = PrunedNeuralNetClassifier((1,), max_epochs=2, random_state=0).fit(X, y)
    inspection.AccumulatorWidthDisplay.from_estimator(net, X, y)
    inspection.AccumulatorHistogramDisplay.from_estimator(net, X)
    no_overflow = inspection.OverflowDisplay.from_estimator(net, X)
    inspection.WeightDisplay.from_estimators(net, net)
    inspection.NonzerosDisplay.from_estimator(net)
    inspection.ProofDisplay.from_estimator(net, X)
    inspection.TrainingDisplay.from_estimator(net)
    inspection.ParetoDisplay.from_estimators([net], X, y)
    assert not any(rate.any() for rate in no_overflow.overflow_rate)
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()


def test_a_picture_fits_into_given_axes(network, rows):
    figure, axes = plt.subplots(1, 2)
    found = inspection.OverflowDisplay.from_estimator(network, rows, ax=axes[0])
    assert found.figure_ is figure and found.axes_.shape == (3, 1)
    _, three = plt.subplots(3)
    assert found.plot(ax=three).axes_.ravel().tolist() == three.tolist()
    with pytest.raises(ValueError, match="ax holds 2 Axes.*3 panels"):
        found.plot(ax=axes)


def test_a_missing_matplotlib_names_the_extra(network, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"qnnprune\[plot\]"):
        inspection.NonzerosDisplay.from_estimator(network)


def test_an_estimator_shows_its_proof_under_its_diagram(fitted):
    net = fitted[0]
    html = net._repr_html_()
    assert "sk-top-container" in html, "scikit-learn's own"
    assert "Proven for every input" in html and "proven bits" in html
    assert net._repr_mimebundle_()["text/html"].count("Proven for every input") == 1
    unfitted = PrunedNeuralNetRegressor()._repr_html_()
    assert "sk-top-container" in unfitted and "Proven" not in unfitted
