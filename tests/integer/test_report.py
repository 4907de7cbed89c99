import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from qnnprune.encoding._encoding import InputEncoding
from qnnprune.integer import HiddenLayer, OutputLayer
from qnnprune.integer._network import IntegerNetwork
from qnnprune.integer._report import AccumulatorReport, accumulator_report
from qnnprune.pruning.limits import LayerLimits

# Two features of 1 bit (codes -1 and 0); hidden activations of 2 bits (codes -2 .. 1).
HIDDEN = np.array([[3, 0], [-3, -1], [0, 0]], dtype=np.int8)  # sums -3..0, 0..4 and 0
OUTPUT = np.array([[1, -3, 2]], dtype=np.int8)  # sums -9..9: 5 bits


@pytest.fixture
def network():
    encoding = InputEncoding(np.zeros((2, 1)), np.ones(2, dtype=np.int64), 1)
    thresholds = np.array([[-2, -1, 0], [1, 2, 3], [1, 1, 1]])
    hidden = HiddenLayer(HIDDEN, encoding.input_range, thresholds, output_low=-2)
    codes = np.array([[-2, 1]] * 3)
    output = OutputLayer(OUTPUT, codes, scale=np.ones(1), bias=np.zeros(1))
    return IntegerNetwork(encoding, [hidden, output], n_w_bits=3, n_accum_bits=5)


def _report(network, *, n_accum_bits=5, guarantee=True, X=None):
    network.n_accum_bits = n_accum_bits
    first, last = (layer.input_range for layer in network.layers)
    limits = [LayerLimits(first, n_accum_bits, 2), LayerLimits(last, n_accum_bits, None)]
    observed = None if X is None else network.simulate(X)
    return accumulator_report(
        network, [limit.budget for limit in limits], [4, 1], guarantee=guarantee, observed=observed
    )


PROVEN = {
    "layer": ["hidden 1", "output"],
    "neurons": [3, 1],
    "fan_in": [2, 3],
    "omega": [4, 1],
    "budget": [2, None],
    "nonzeros_min": [0, 3],
    "nonzeros_mean": [1.0, 3.0],
    "nonzeros_max": [2, 3],
    "dead_neurons": [1, 0],
    "proven_bits": [3, 5],
    "proven_range": [(-3, 4), (-9, 9)],
}


def test_columns(network):
    assert _report(network).to_dict() == PROVEN


def test_observed_columns_need_rows(network):
    # Both features below 0: sums -3, 4, 0 and then codes -2, 1, -2: -2 - 3 - 4 = -9.
    # Both above: sums 0, 0, 0 and then codes 1, -2, -2: 1 + 6 - 4 = 3.
    report = _report(network, X=[[-1.0, -1.0], [1.0, 1.0]])
    assert report.to_dict() == PROVEN | {"observed_bits": [3, 5], "overflows": [0, 0]}
    report = _report(network, n_accum_bits=4, X=[[-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    assert report.to_dict()["overflows"] == [0, 2]
    report = _report(network, X=[[1.0, 1.0]])
    assert report.to_dict()["observed_bits"] == [1, 2]  # seen: 0 and 3, unsigned


def test_summary_says_what_is_proven(network):
    proven = (
        "Proven for every input: no sum needs more than 5 bits (limit 5).\nCodes: weights of 3 bits, "
        "inputs of 1, activations of 2; up to 1 input segments for each column."
    )
    assert _report(network).summary == proven
    assert _report(network, guarantee=False).summary == proven
    summary = _report(network, n_accum_bits=4, guarantee=False).summary
    assert summary.startswith("An overflow of 4 bits is possible: some sums can need 5")
    assert "accumulator_guarantee=False" in summary


def test_several_sums_are_counted_as_neurons_and_said_to_be_added_up_outside(network):
    output = network.layers[-1]
    weight = np.vstack([output.weight, -output.weight // 2])
    network.layers = (network.layers[0], replace(output, weight=weight))
    report = _report(network)
    assert report.to_dict()["neurons"] == [3, 2]
    first, _, second = report.summary.splitlines()
    assert first == "Proven for every input: no sum needs more than 5 bits (limit 5)."
    assert second.startswith(
        "The output layer has 2 sums for each of 1 outputs.  They are added up"
    )
    assert second.endswith("outside these registers.")


def test_text_is_an_aligned_table_with_its_summary(network):
    head, hidden, output, *summary = repr(_report(network)).splitlines()
    assert len(head) == len(hidden) == len(output)
    assert re.split(r"  +", hidden.strip()) == [
        "hidden 1", "3", "2", "4", "2", "0", "1.0", "2", "1", "3", "-3 .. 4",
    ]  # fmt: skip
    assert re.split(r"  +", output.strip())[4] == "-"  # no budget
    assert head.split()[:3] == ["layer", "neurons", "fan-in"]
    assert "\n".join(summary) == _report(network).summary


def test_html_holds_every_cell_and_is_escaped(network):
    html = _report(network)._repr_html_()
    assert html.count("<tr>") == html.count("</tr>") == 3
    assert html.count("<th>") == 11
    assert html.count("<td>") == 22
    assert "<td>-9 .. 9</td>" in html
    report = AccumulatorReport([{"layer": "<script>&"}], "a < b & c")
    assert "<td>&lt;script&gt;&amp;</td>" in report._repr_html_()
    assert "<p>a &lt; b &amp; c</p>" in report._repr_html_()


def test_frame(network):
    pytest.importorskip("pandas")
    frame = _report(network).to_frame()
    assert list(frame.columns) == list(PROVEN)
    assert frame["proven_bits"].tolist() == [3, 5]
    assert frame["proven_range"].tolist() == [(-3, 4), (-9, 9)]


def test_frame_without_pandas_says_what_to_do(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        _report(network).to_frame()


def test_every_column_has_a_title(network):
    report = _report(network, X=[[0.0, 0.0]])
    assert "observed bits" in repr(report)
    assert "overflows" in report._repr_html_()
