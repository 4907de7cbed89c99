"""Training: encoded rows to a trained module, and the module to integer layers.

The only package that imports torch, Brevitas and skorch, and these no sooner than something is
trained.  Nothing in it is public.
"""

from importlib import import_module


def __getattr__(name):
    if name in ("compilation", "session", "state"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
