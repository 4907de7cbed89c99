"""Versions of the interpreter and of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib import metadata

from ._version import __version__

__all__ = ["show_versions"]

_REQUIRED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "brevitas",
    "skorch",
    "threadpoolctl",
    "tqdm",
)
_OPTIONAL = (
    "concrete-python", "cryptography", "httpx", "matplotlib", "onnx", "onnxruntime", "pandas",
    "polars", "pyarrow", "qonnx", "skl2onnx", "starlette", "uvicorn",
)  # fmt: skip


def show_versions() -> None:
    """Print the versions that a bug report should state.

    No package is imported: the versions are those of the installed distributions.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn, with its thread pools.

    Examples
    --------
    >>> import qnnprune
    >>> qnnprune.show_versions()
    qnnprune: ...
    python: ...
    """
    system = {
        "qnnprune": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    for section in (system, _installed(_REQUIRED), _installed(_OPTIONAL)):
        print(*(f"{name}: {value}" for name, value in section.items()), "", sep="\n")


def _installed(names) -> dict[str, str]:
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
