"""Runs of a benchmark: cells measured side by side, each finished one a row of a CSV.

A cell is a dict that says what is measured, such as ``{"set": "iris", "seed": 0}``.  An
interrupted run goes on where it stopped: cells that the CSV already holds are not measured again.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd
from _tables import read
from joblib import Parallel, delayed, parallel_config

HERE = Path(__file__).parent


def arguments(description: str, name: str, data: bool = True) -> argparse.ArgumentParser:
    """Options that benchmarks share; `name` is the name of the CSV."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if data:
        parser.add_argument("--data", help="folder of sets (DATASETS.md), not scikit-learn's own")
        parser.add_argument("--sets", nargs="+", help="some of the sets only")
    default = HERE / "new" / f"{name}.csv"
    where = f"CSV file; by default new/{name}.csv beside this file"
    parser.add_argument("--output", type=Path, default=default, help=where)
    return parser


def environment(*packages: str) -> str:
    """What results depend on beside the code: versions of packages, cores, instruction set."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text() if cpu.exists() else ""
    vectors = next((name for name in ("avx512f", "avx2", "asimd") if name in flags), "")
    machine = f"{os.cpu_count()} cores, {platform.machine()} {vectors}".strip()
    return f"{', '.join(found)}; Python {platform.python_version()}; {machine}"


def run(
    measure: Callable,
    cells: Iterable[dict],
    path: Path,
    packages: Sequence[str] = (),
    n_jobs: int = 1,
    own_version: bool = True,
) -> None:
    """Measure the cells that the CSV lacks, and add each finished one to it as a row.

    Two runs may add different cells to one CSV at the same time.

    Parameters
    ----------
    measure : callable
        ``measure(**cell)`` to a dict of results.  With `n_jobs` above 1 it runs in other
        processes, with one thread each, and must be importable.
    cells : iterable of dict
        All with the same keys, which become the first columns.
    path : Path
        CSV file.  Its first line says where it was measured; another place is an error.
    packages : sequence of str
        Packages whose versions matter, beside qnnprune.
    n_jobs : int
        Cells measured at the same time.
    own_version : bool
        Whether the first line names qnnprune's version.  Without it, rows of other models stay
        valid when qnnprune changes.
    """
    cells = list(cells)
    where = environment(*["qnnprune"] * own_version, *packages)
    done = {_key(row, cells[0]) for row in _rows(path, where)}
    missing = [cell for cell in cells if _key(cell, cells[0]) not in done]
    print(f"{len(missing)} of {len(cells)} cells to measure, into {path}", file=sys.stderr)
    with parallel_config(backend="loky", inner_max_num_threads=1 if n_jobs > 1 else None):
        parallel = Parallel(n_jobs, batch_size=1, return_as="generator_unordered")
        for row in parallel(delayed(_row)(measure, cell) for cell in missing):
            _add(path, where, row)
            print(row, file=sys.stderr, flush=True)


def merge(others: Sequence[Path], path: Path, keys: Sequence[str]) -> None:
    """Add to a CSV the rows of others that it lacks; all must be measured at the same place.

    Parameters
    ----------
    others : sequence of Path
        CSV files that stay as they are.
    path : Path
        CSV file, which may not be there yet.
    keys : sequence of str
        Columns that name a cell.
    """
    where, _ = read(path if path.exists() else others[0])
    done = {_key(row, keys) for row in _rows(path, where)}
    for row in [row for other in others for row in _rows(other, where)]:
        if _key(row, keys) not in done:
            done.add(_key(row, keys))
            _add(path, where, row)


def _key(row, cell):
    return tuple(None if pd.isna(row[name]) else row[name] for name in cell)


def _row(measure, cell):
    return cell | measure(**cell)


def _rows(path, where):
    """The rows of a CSV that may not be there yet."""
    if not path.exists():
        return []
    before, frame = read(path)
    if before != where:
        sys.exit(f"{path} was measured with {before}, not with {where}: name another --output.")
    return frame.to_dict("records")


def _add(path, where, row):
    """One more row, whole or not at all, so that an interrupt or another run loses none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = pd.DataFrame([*_rows(path, where), row]).convert_dtypes().to_csv(index=False)
        part.write_text(f"# {where}\n{text}", encoding="utf-8")
        os.replace(part, path)
    finally:
        os.close(folder)
