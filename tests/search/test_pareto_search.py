"""The search for the trade-off: its front by hand, its file, and what it refuses."""

import itertools
import json
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import oracles
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import validate_parameter_constraints

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.pruning.pruner import check_methods
from qnnprune.search import SPACE as SPACE_OF_NETWORKS
from qnnprune.search import pareto_search

optuna = pytest.importorskip("optuna")

X = np.arange(12.0)[:, None]
Y = np.arange(12.0)
SPACE = {"width": range(1, 7), "size": [(2,), (4, 4), None], "depth": [1, 2, 3]}
CALLS = SimpleNamespace(fits=[], interrupt_at=None)


class Toy(BaseEstimator):
    """Fits nothing; scores well where its parameters are large, with some noise."""

    def __init__(self, width=1, size=None, depth=1, refused=()):
        self.width, self.size, self.depth, self.refused = width, size, depth, refused

    def fit(self, X, y, sample_weight=None):
        if self.width in self.refused:
            raise ValueError(f"width={self.width} is refused")
        CALLS.fits.append((self.width, self.size, self.depth, len(X)))
        if len(CALLS.fits) == CALLS.interrupt_at:
            raise KeyboardInterrupt
        self.rows_ = np.asarray(X)[:, 0]
        self.weight_ = sample_weight
        return self

    def score(self, X, y):
        return float(self.width * self.depth % 7 + 0.01 * len(self.size or ()) + 0.001 * X.mean())


def cells(estimator):
    return estimator.width + 10 * sum(estimator.size or ())


def rows_of_fold(estimator):
    return estimator.rows_.sum() / estimator.depth


@pytest.fixture(autouse=True)
def _no_calls_yet():
    CALLS.fits, CALLS.interrupt_at = [], None


def search(estimator=None, space=SPACE, **changes):
    settings = {"costs": [cells, rows_of_fold], "cv": 3, "n_trials": 15, "random_state": 0}
    return pareto_search(estimator or Toy(), X, Y, space, **settings | changes)


def values(trial):
    return trial.score, *(-cost for cost in trial.costs.values())


# ------------------------------------------------------------ what is measured


def test_the_front_by_hand():
    found = search()
    points = [values(trial) for trial in found.trials]
    front = [
        place
        for place, own in enumerate(points)
        if own not in points[:place]
        and not any(o != own and all(map(float.__ge__, o, own)) for o in points)
    ]
    assert sorted(found.front) == front and len(front) > 1
    costs = [found.trials[place].costs["cells"] for place in found.front]
    assert costs == sorted(costs)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_scores_and_costs_are_means_over_the_folds(sampler):
    cv = KFold(3, shuffle=True, random_state=1)
    found = search(sampler=sampler, cv=cv, n_trials=30)
    for trial in found.trials:
        net = Toy(**trial.params)
        scores = cross_val_score(net, X, Y, cv=cv)
        assert trial.score == pytest.approx(scores.mean())
        assert trial.score_std == pytest.approx(scores.std())
        folds = [clone(net).fit(X[train], Y[train]) for train, _ in cv.split(X)]
        assert trial.costs["cells"] == cells(net)
        assert trial.costs["rows_of_fold"] == pytest.approx(np.mean([*map(rows_of_fold, folds)]))
        assert trial.params["width"] in SPACE["width"] and trial.params["size"] in SPACE["size"]


def test_estimators_of_the_front_are_fitted_on_all_rows():
    weight = np.linspace(1, 2, len(X))
    found = search(params={"sample_weight": weight})
    assert [net.get_params() for net in found.estimators] == [
        Toy().get_params() | found.trials[place].params for place in found.front
    ]
    assert all((net.rows_ == X[:, 0]).all() for net in found.estimators)
    assert all((net.weight_ == weight).all() for net in found.estimators)
    assert search(refit=False).estimators == ()


def test_a_setting_is_measured_once():
    found = search(space={"width": [1, 2]}, n_trials=9, refit=False)
    assert len(found.trials) == 9 and len(CALLS.fits) == 2 * 3


def test_one_held_out_part_and_a_scorer():
    cv = ShuffleSplit(1, test_size=3, random_state=0)
    found = search(cv=cv, scoring=lambda net, X, y: net.width + len(y), refit=False)
    assert all(t.score == t.params["width"] + 3 and t.score_std == 0 for t in found.trials)


def test_the_same_whatever_runs_beside_each_other():
    with joblib.parallel_config(backend="threading"):
        assert search(n_jobs=3).trials == search().trials
    assert search(random_state=1).trials != search().trials


def test_the_global_random_state_stays():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    search()
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("as_pipeline", [False, True])
def test_networks(as_pipeline):
    X, y = load_iris(return_X_y=True)
    net = PrunedNeuralNetClassifier((4,), max_epochs=2, random_state=0)
    model = make_pipeline("passthrough", net) if as_pipeline else net
    name = "prunedneuralnetclassifier__n_accum_bits" if as_pipeline else "n_accum_bits"
    costs = ["width", "weights", "bytes", "lookups", "seconds"]
    found = pareto_search(
        model, X, y, {name: [5, 8]}, costs=costs, cv=2, n_trials=2, random_state=0
    )
    for trial in found.trials:
        scores = cross_val_score(clone(model).set_params(**trial.params), X, y, cv=2)
        assert trial.score == scores.mean()
        assert trial.costs["seconds"] > 0
    for place, estimator in zip(found.front, found.estimators, strict=True):
        by_hand = clone(model).set_params(**found.trials[place].params).fit(X, y)
        assert (estimator.predict_proba(X) == by_hand.predict_proba(X)).all()
        network = (estimator[-1] if as_pipeline else estimator).integer_network_
        assert oracles.widest(network) <= found.trials[place].params[name]


# ------------------------------------------------------------ its file


def test_an_interrupted_search_goes_on(tmp_path):
    path = tmp_path / "search.log"
    whole = search(refit=False)
    n_fits, CALLS.fits, CALLS.interrupt_at = len(CALLS.fits), [], 17
    with pytest.raises(KeyboardInterrupt):
        search(path=path)
    kept = search(path=path, n_trials=1, refit=False).trials
    assert 1 < len(kept) < 15
    CALLS.fits, CALLS.interrupt_at = [], None
    again = search(path=path, refit=False)
    assert again.trials == whole.trials and again.front == whole.front
    assert len(CALLS.fits) == n_fits - 15, "five settings were measured before, of three folds"
    CALLS.fits = []
    assert search(path=path, refit=False).trials == whole.trials and not CALLS.fits


def _cut(text):
    return text[: len(text) // 2]


def _without_a_line(text):
    lines = text.splitlines(keepends=True)
    gone = next(i for i, line in enumerate(lines) if json.loads(line)["op_code"] == 5)
    return "".join(lines[:gone] + lines[gone + 1 :])


def _other_study(text):
    return text.replace("qnnprune.pareto_search", "mine")


DAMAGES = {
    "ends in the middle of line": _cut,
    "in line 1": lambda text: "#" + text,
    "of Optuna in line 1": lambda text: "a,b\n1,2\n",
    "lacks a part of trial": _without_a_line,
    "studies \\['mine'\\]": _other_study,
    "cannot be read": lambda text: text.replace('"param_name"', '"name"'),
    "does not say": lambda text: text.splitlines(keepends=True)[0],
}  # fmt: skip


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, reason):
    path = tmp_path / "search.log"
    search(path=path, n_trials=3, refit=False)
    path.write_text(DAMAGES[reason](path.read_text()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"search.log.*{reason}"):
        search(path=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"estimator": Toy(refused=[9])}, "estimator"),
        ({"space": {"width": range(1, 5)}}, "space"),
        ({"costs": [cells]}, "costs"),
        ({"scoring": "r2"}, "scoring"),
        ({"cv": 4}, "rows or folds"),
        ({"params": {"sample_weight": Y}}, "rows or folds"),
    ],
)
def test_the_file_of_another_search_is_refused(tmp_path, changes, name):
    path = tmp_path / "search.log"
    search(path=path, n_trials=3, refit=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"search.log.*another {name}"):
        search(path=path, **changes)
    assert path.read_bytes() == before


# ------------------------------------------------------------ what it says


def test_a_setting_that_has_no_such_cost_is_refused():
    """Lookups take no sums wider than 16 bits."""
    X, y = load_iris(return_X_y=True)
    net = PrunedNeuralNetClassifier(
        (40,), max_epochs=1, n_w_bits=8, n_in_bits=8, n_a_bits=8,
        n_hidden_neurons_multiplier=None, random_state=0,
    )  # fmt: skip
    with pytest.warns(FitFailedWarning, match="costs='seconds': .*at most 16"):
        found = pareto_search(
            net, X, y, {"n_accum_bits": [16, 24]}, costs="seconds", cv=2, n_trials=2, random_state=0
        )
    errors = {trial.params["n_accum_bits"]: trial.error for trial in found.trials}
    assert errors[16] is None and "at most 16" in errors[24]


def test_settings_that_fit_refuses():
    with pytest.warns(FitFailedWarning, match=r"refused \d of 15 settings.*width=2 is refused"):
        found = search(Toy(refused=(2,)), refit=False)
    for place, trial in enumerate(found.trials):
        assert (trial.params["width"] == 2) == (trial.error is not None)
        assert trial.error is None or (np.isnan(trial.score) and place not in found.front)
    with pytest.raises(ValueError, match=r"space has no setting.*width=\d is refused"):
        search(Toy(refused=range(9)))
    with pytest.raises(ValueError, match="score is nan"):
        search(scoring=lambda net, X, y: np.nan)
    with pytest.raises(ValueError, match="cost.*is inf"):
        search(costs=infinite)


def infinite(estimator):
    return np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_trials": 0}, "n_trials=0"),
        ({"n_trials": True}, "n_trials=True"),
        ({"sampler": "grid"}, "sampler='grid'"),
        ({"space": {"net__width": [1]}}, r"unlike \['net__width'\]"),
        ({"space": {}}, "must name parameters"),
        ({"space": {"width": []}}, r"space\['width'\]"),
        ({"space": {"width": [1, 1]}}, r"space\['width'\]"),
        ({"space": {"width": "12"}}, r"space\['width'\]"),
        ({"space": {"width": range(3, 3)}}, r"space\['width'\]"),
        ({"costs": "price"}, "costs=.*width"),
        ({"costs": []}, r"costs=\[\]"),
        ({"costs": [cells, cells]}, "a name of its own"),
    ],
)
def test_what_is_refused_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        search(**changes)
    assert not CALLS.fits


def test_ranges_and_distributions_of_optuna():
    falling = {t.params["width"] for t in search(space={"width": range(5, 0, -2)}).trials}
    assert falling == {1, 3, 5}
    space = {"width": optuna.distributions.IntDistribution(1, 64, log=True)}
    widths = {trial.params["width"] for trial in search(space=space).trials}
    assert widths <= set(range(1, 65)) and max(widths) > 6


def test_the_bar_is_shown_where_it_is_wanted(capsys):
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search(n_trials=3)
    assert capsys.readouterr().err == ""
    search(n_trials=3, verbose=1)
    assert "3/3" in capsys.readouterr().err
    assert optuna.logging.get_verbosity() == level


def test_a_frame_and_a_picture_of_all_trials():
    pytest.importorskip("pandas")
    with pytest.warns(FitFailedWarning):
        found = search(Toy(refused=(2,)))
    frame = found.to_frame()
    assert frame.param_width.tolist() == [trial.params["width"] for trial in found.trials]
    assert frame.index[frame.front].tolist() == sorted(found.front)
    assert frame.cost_cells.isna().tolist() == (frame.param_width == 2).tolist()
    pytest.importorskip("matplotlib").use("agg")
    picture = found.plot()
    done = [trial for trial in found.trials if trial.error is None]
    assert picture.score.tolist() == [trial.score for trial in done]
    assert sorted(picture.costs) == ["cells", "rows_of_fold"]
    drawn = [text.get_text() for text in picture.axes_[0, 0].texts]
    assert set(drawn) <= {str(place) for place, t in enumerate(found.trials) if t.error is None}


def test_a_missing_optuna_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r"qnnprune\[search\]"):
        search()


def test_values_of_the_default_space_are_taken():
    constraints = PrunedNeuralNetClassifier()._parameter_constraints
    for name, choices in SPACE_OF_NETWORKS.items():
        for value in choices:
            validate_parameter_constraints({name: constraints[name]}, {name: value}, "net")
    methods = (SPACE_OF_NETWORKS[f"pruning_{name}"] for name in ("schedule", "criterion"))
    for pair in itertools.product(*methods):
        check_methods(*pair)
