"""Cells of a benchmark in worker processes, one JSON line each, finished ones never twice."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import qnnprune

__all__ = ["append", "arguments", "key", "read", "run"]


def arguments(description: str, results: str) -> argparse.ArgumentParser:
    """The options of every such benchmark: data, repetitions, and where results go."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with load.py")
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", default=results)
    parser.add_argument("--max-rows", type=int, help="training rows, at most")
    parser.add_argument("--output", help="write the report here too")
    parser.add_argument("--report-only", action="store_true")
    return parser


def key(identity: dict) -> str:
    """A short name of everything that a cell's result depends on."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(path: str | Path) -> dict[str, dict]:
    """Finished cells by their key; a line that an interrupt cut short counts as not there."""
    found = {}
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[record["key"]] = record
    return found


def run(cells: Iterable, measure: Callable, path: str | Path, processes: int) -> None:
    """Measure the cells that `path` lacks, in order, and append each as it is finished.

    Parameters
    ----------
    cells : iterable of objects with ``identity() -> dict``
    measure : callable
        A cell to a dict of results; importable, as it runs in other processes.
    path : str or Path
    processes : int
        Each with one thread.
    """
    done = read(path)
    by_key = {key(cell.identity()): cell for cell in cells}
    missing = [cell for name, cell in by_key.items() if name not in done]
    print(f"{len(missing)} cells to measure", file=sys.stderr)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool, _append_to(path) as file:
        futures = {pool.submit(measure, cell): cell for cell in missing}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                _keep(file, futures[future], future, f"{count}/{len(missing)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def append(path: str | Path, records: Iterable[dict]) -> None:
    """Add finished cells to the file."""
    with _append_to(path) as file:
        for record in records:
            file.write(json.dumps(record, default=str) + "\n")


def _append_to(path):
    """Open at the end, on a line of its own."""
    path = Path(path)
    cut_short = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    file = path.open("a", encoding="utf-8")
    if cut_short:
        file.write("\n")
    return file


def _keep(file, cell, future, position):
    identity = cell.identity()
    if future.exception() is not None:
        print(f"{position} {cell} failed: {future.exception()!r}", file=sys.stderr, flush=True)
        return
    version = {"version": qnnprune.__version__}
    record = {"key": key(identity)} | identity | version | future.result()
    file.write(json.dumps(record, default=str) + "\n")
    file.flush()
    print(f"{position} {cell} {record.get('score', 'refused')}", file=sys.stderr, flush=True)
