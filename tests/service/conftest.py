"""Compiled networks, their clients with keys, and one service for the tests of a module."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from serving import Serving


@pytest.fixture(scope="session")
def deployed(tiny_network, tmp_path_factory):
    """Networks "sums" (no lookup, milliseconds a row), "deep", and "sums" retrained."""
    pytest.importorskip("concrete.fhe")
    from qnnprune.export import compile_fhe

    folder = tmp_path_factory.mktemp("deployed")
    classes = np.array(["ant", "bee", "cat"])
    make = {"n_outputs": 3, "classes": classes, "n_w_bits": 2}
    sums = tiny_network(np.random.default_rng(0), n_hidden=(), **make)
    again = copy.deepcopy(sums)
    again.encoding.thresholds[:] += 0.25
    deep = tiny_network(np.random.default_rng(0), n_hidden=(4,), **make)
    networks = {"sums": sums, "deep": deep, "retrained": again}
    for name, network in networks.items():
        compiled = compile_fhe(network)
        compiled.save_client(folder / f"{name}-client")
        where = folder / ("newer" if name == "retrained" else "models") / name
        where.mkdir(parents=True)
        compiled.save_server(where / "1")
    return SimpleNamespace(folder=folder, models=folder / "models", networks=networks)


@pytest.fixture(scope="session")
def new_client(deployed):
    """Factory of clients with keys of their own; those of "deep", which take seconds, are shared."""
    from qnnprune.export import FheClient

    shared = {}

    def make(name="sums"):
        client = FheClient.load(deployed.folder / f"{name}-client")
        if name in shared:
            client._made = shared[name]
            return client
        client.keygen()
        if name == "deep":
            shared[name] = client._made
        return client

    return make


@pytest.fixture(scope="module")
def running(deployed, tmp_path_factory):
    for module in ("starlette", "uvicorn", "httpx"):
        pytest.importorskip(module)
    with Serving(deployed.models, tmp_path_factory.mktemp("state") / "kept") as serving:
        yield serving
