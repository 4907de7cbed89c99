"""What the first fit in a process costs beyond the fit itself: imports, and what torch sets up.

A fresh process fits the same estimator twice; what the first fit takes longer is the cost.  Files
are in the cache of the system, as of a process that ran before.  CPU seconds beside wall seconds
say what a busy machine adds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings

from _runner import arguments, run

# Parameters of the fits, which are short, so that they differ little from each other.
TOOLS = {"qnnprune": {"max_epochs": 2}, "scikit-learn MLP": {"max_iter": 2}}


def work(tool: str) -> dict:
    """Wall and CPU seconds of imports and of two fits; runs in a process of its own."""
    warnings.simplefilter("ignore")
    clocks = [_clock()]
    if tool == "qnnprune":
        from qnnprune import PrunedNeuralNetClassifier as Classifier
    else:
        from sklearn.neural_network import MLPClassifier as Classifier
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    clocks.append(_clock())
    for _ in range(2):
        Classifier(random_state=0, **TOOLS[tool]).fit(X, y)
        clocks.append(_clock())
    found = {}
    for unit, times in zip(("s", "cpu_s"), zip(*clocks, strict=True), strict=True):
        begun, imported, first, second = times
        found[f"import_{unit}"] = imported - begun
        found[f"fit_{unit}"] = second - first
        found[f"beyond_{unit}"] = (first - imported) - (second - first)
    return found


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def measure(tool, round) -> dict:
    """Run `work` in a fresh process, on one thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    command = [sys.executable, __file__, "--work", tool]
    environment = os.environ | dict.fromkeys(names, "1")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure what is missing."""
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(sys.argv[2])))
        return
    parser = arguments(__doc__, "imports", data=False)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for tool in TOOLS:
        measure(tool, 0)  # files into the cache
    cells = [{"tool": tool, "round": turn} for turn in range(options.rounds) for tool in TOOLS]
    run(measure, cells, options.output, ("scikit-learn", "torch", "brevitas", "skorch"))


if __name__ == "__main__":
    main()
