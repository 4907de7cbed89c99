"""Dask with two real worker processes: searches, predictions, partitions, and a worker that dies."""

import os
import signal
import sys
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.search import pareto_search

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

X, Y = (array[:400] for array in load_digits(return_X_y=True))
NET = PrunedNeuralNetClassifier((8,), max_epochs=2, random_state=0)
GRID = {"n_accum_bits": [6, 8]}
SPLITS = list(StratifiedKFold(2).split(X, Y))


@pytest.fixture(scope="module")
def client():
    settings = {
        "distributed.comm.timeouts.connect": "300s",
        "distributed.scheduler.worker-ttl": None,
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def fitted():
    return clone(NET).fit(X, Y)


@pytest.fixture(scope="module")
def local():
    return GridSearchCV(NET, GRID, cv=SPLITS, refit=False).fit(X, Y).cv_results_


def _scores(results):
    return [results[f"split{fold}_test_score"].tolist() for fold in range(len(SPLITS))]


def _search_on(client):
    """A grid search on the workers, with data and folds on each of them before it begins."""
    data = [X, Y, *(rows for split in SPLITS for rows in split)]
    with joblib.parallel_config(backend="dask", scatter=data):
        return GridSearchCV(NET, GRID, cv=SPLITS, refit=False).fit(X, Y).cv_results_


def test_workers_predict_without_torch(client, fitted):
    frames, arrays = pytest.importorskip("dask.dataframe"), pytest.importorskip("dask.array")
    pandas = pytest.importorskip("pandas")
    network = fitted.integer_network_
    rows = arrays.from_array(X, chunks=(150, -1))
    labels = rows.map_blocks(network.predict, drop_axis=1, dtype=Y.dtype)
    assert labels.compute().tolist() == fitted.predict(X).tolist()
    frame = frames.from_pandas(pandas.DataFrame(X), npartitions=3)
    labels = frame.map_partitions(network.predict, meta=np.empty(0, Y.dtype))
    assert labels.compute().tolist() == fitted.predict(X).tolist()
    loaded = client.run(lambda: [name for name in ("qnnprune", "torch") if name in sys.modules])
    assert list(loaded.values()) == [["qnnprune"]] * 2


def test_a_grid_search_sends_its_data_once(client, local, monkeypatch):
    sent, scatter = [], distributed.Client.scatter

    def counting(self, data, *args, **kwargs):
        sent.extend(map(id, data if isinstance(data, list) else [data]))
        return scatter(self, data, *args, **kwargs)

    monkeypatch.setattr(distributed.Client, "scatter", counting)
    large = {"distributed.admin.large-graph-warning-threshold": "50kB"}  # X has 205 kB
    with warnings.catch_warnings(), dask.config.set(large):
        warnings.filterwarnings("error", "Sending large graph")
        assert _scores(_search_on(client)) == _scores(local)
    assert [sent.count(id(data)) for data in (X, Y)] == [1, 1]


def test_the_search_for_the_trade_off_runs_on_workers(client):
    pytest.importorskip("optuna")

    def search():
        return pareto_search(NET, X, Y, GRID, cv=SPLITS, n_trials=2, random_state=0)

    here = search()
    with joblib.parallel_config(backend="dask", scatter=[X, Y]):
        there = search()
    assert there.trials == here.trials
    for ours, theirs in zip(here.estimators, there.estimators, strict=True):
        assert ours.integer_network_.model_id == theirs.integer_network_.model_id


def test_two_processes_share_a_study(client, tmp_path):
    optuna = pytest.importorskip("optuna")
    path, net, rows, labels = str(tmp_path / "study.log"), NET, X, Y

    def study():
        backend = optuna.storages.journal.JournalFileBackend(path)
        storage = optuna.storages.JournalStorage(backend)
        return optuna.create_study(
            storage=storage, study_name="bits", direction="maximize", load_if_exists=True
        )

    def work(seed):
        def objective(trial):
            trial.set_user_attr("pid", os.getpid())
            bits = trial.suggest_int("n_accum_bits", 5, 8)
            return clone(net).set_params(n_accum_bits=bits).fit(rows, labels).score(rows, labels)

        own = study()
        own.sampler = optuna.samplers.RandomSampler(seed=seed)
        own.optimize(objective, n_trials=3)

    study()
    workers = client.run(os.getpid)
    tasks = [client.submit(work, i, workers=[w], pure=False) for i, w in enumerate(workers)]
    client.gather(tasks)
    trials = study().trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6
    assert len({trial.user_attrs["pid"] for trial in trials}) == 2
    for trial in trials[:2]:
        own = clone(NET).set_params(**trial.params).fit(X, Y)
        assert trial.value == own.score(X, Y)


def test_an_encoding_of_all_partitions():
    """Beyond the values of the first partition, its encoding tells no rows apart."""
    frames = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": np.linspace(0, 6, 600)})
    table["label"] = (table.a % 2 > 1).astype(int)
    parts = frames.from_pandas(table, npartitions=3)  # by rising a, each with both labels

    def train(first):
        net = PrunedNeuralNetClassifier((16,), random_state=0)
        net.partial_fit(first[["a"]], first.label, classes=[0, 1])
        for part in parts.partitions:
            part = part.compute()
            net.partial_fit(part[["a"]], part.label)
        return net

    def best_accuracy(net):
        """Of any function of the codes: the label that most rows of the same codes have."""
        codes = net.integer_network_.quantize_input(table[["a"]].to_numpy())
        group = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
        ones, rows = np.bincount(group, table.label), np.bincount(group)
        return np.maximum(ones, rows - ones).sum() / len(table)

    of_all = train(parts.sample(frac=0.3, random_state=0).compute())
    of_one = train(parts.get_partition(0).compute())
    assert best_accuracy(of_all) > 0.95
    assert of_one.score(table[["a"]], table.label) <= best_accuracy(of_one) < 0.7


def test_a_worker_that_dies_loses_nothing_but_its_task(client, local):
    """Last, as the killed worker is replaced by one that has to load everything again."""
    pids = client.run(os.getpid)
    killed = []

    def kill():
        deadline = time.monotonic() + 300
        while not killed and time.monotonic() < deadline:
            busy = [worker for worker, keys in client.processing().items() if keys]
            if len(busy) == 2:
                os.kill(pids[busy[0]], signal.SIGKILL)
                killed.append(pids[busy[0]])
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    results = _search_on(client)
    killer.join()
    assert len(killed) == 1
    assert _scores(results) == _scores(local)
    client.wait_for_workers(2)
    after = set(client.run(os.getpid).values())
    assert killed[0] not in after and after & set(pids.values())
