"""Counts and times of a service, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter

__all__ = ["Metrics"]

_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # seconds
_HELP = {
    "requests_total": ("counter", "Answers to requests, by status."),
    "rows_total": ("counter", "Rows that were computed or given up, by outcome."),
    "workers_lost_total": ("counter", "Processes that ended, or were ended, while they computed."),
    "keys_bytes": ("gauge", "Disk space of evaluation keys."),
    "keys": ("gauge", "Sets of evaluation keys."),
    "jobs": ("gauge", "Batches that wait, run, or were not fetched."),
    "queue_rows": ("gauge", "Accepted rows without an outcome."),
    "workers": ("gauge", "Processes that compute."),
}


class Metrics:
    """What happened since the service began.

    Attributes
    ----------
    counts : Counter
        By name and labels, such as ``("rows_total", 'outcome="ok"')``.
    """

    def __init__(self):
        self.counts: Counter[tuple[str, str]] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds, self._n_rows = 0.0, 0

    def count(self, name: str, labels: str = "") -> None:
        """Note one more."""
        self.counts[name, labels] += 1

    def row(self, seconds: float, outcome: str) -> None:
        """Note that a row took so long."""
        self.count("rows_total", f'outcome="{outcome}"')
        self._seconds += seconds
        self._n_rows += 1
        self._within.update(bound for bound in _BOUNDS if seconds <= bound)

    @property
    def mean_row_seconds(self) -> float:
        """Mean time of a row so far, in seconds; 1 before the first."""
        return self._seconds / self._n_rows if self._n_rows else 1.0

    def text(self, gauges: dict[str, float]) -> str:
        """Everything, and what is so just now."""
        values = Counter(self.counts)
        values.update({(name, ""): value for name, value in gauges.items()})
        lines = []
        for name, (kind, about) in _HELP.items():
            lines += [f"# HELP qnnprune_{name} {about}", f"# TYPE qnnprune_{name} {kind}"]
            found = sorted(each for each in values if each[0] == name) or [(name, "")]
            lines += [_line(name, labels, values[name, labels]) for _, labels in found]
        return "\n".join([*lines, *self._histogram()]) + "\n"

    def _histogram(self) -> list[str]:
        name = "row_seconds"
        about = f"# HELP qnnprune_{name} Time that a worker took for a row."
        bounds = [(f'le="{bound:g}"', self._within[bound]) for bound in _BOUNDS]
        bounds.append(('le="+Inf"', self._n_rows))
        lines = [_line(f"{name}_bucket", label, value) for label, value in bounds]
        sums = [_line(f"{name}_sum", "", self._seconds), _line(f"{name}_count", "", self._n_rows)]
        return [about, f"# TYPE qnnprune_{name} histogram", *lines, *sums]


def _line(name: str, labels: str, value: float) -> str:
    return f"qnnprune_{name}{'{' + labels + '}' if labels else ''} {value}"
