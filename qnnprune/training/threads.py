"""One thread for training, whatever the process does elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]


@contextmanager
def one_thread():
    """Train on one thread: small steps gain nothing from more, and sums come out the same.

    OpenMP keeps the number for each thread that asks, so other threads are not touched.
    ``torch.set_num_threads`` would set it for the whole process.
    """
    torch.get_num_threads()  # has torch set its number in this thread, which it does just once
    with _openmp().limit(limits=1):
        yield


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
