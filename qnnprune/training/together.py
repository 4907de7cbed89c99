"""Trainings that wait for each other, and take their steps together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from threading import Semaphore, Thread

import numpy as np

from .stack import Stack
from .threads import one_thread

__all__ = ["run_together", "train_net"]

_MEMBER: ContextVar = ContextVar("member", default=None)


def train_net(net, table) -> None:
    member = _MEMBER.get()
    if member is None:
        net.partial_fit(table)
    else:
        member.train(net, table)


class _Member(Thread):
    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.wanted, self.error = call, None, None
        self.turn, self.pause = Semaphore(0), Semaphore(0)

    def run(self):
        self.turn.acquire()
        _MEMBER.set(self)
        try:
            self.result = self.call()
        except BaseException as error:
            self.error = error
        finally:
            self.pause.release()

    def advance(self):
        self.turn.release()
        self.pause.acquire()

    def train(self, net, table):
        self.wanted, self.failure = (net, table), None
        self.pause.release()
        self.turn.acquire()
        self.wanted = None
        if self.failure is not None:
            raise self.failure


def run_together(calls):
    members = [_Member(call) for call in calls]
    for m in members:
        m.start()
    for m in members: m.advance()
    with one_thread():
        while waiting := [m for m in members if m.wanted is not None]:
            train_together(waiting)
            for m in waiting: m.advance()
    for m in members:
        m.join()
        if m.error is not None: raise m.error
    return [m.result for m in members]


def train_together(members):
    trainings = {}
    for m in members:
        net, table = m.wanted
        trainings[m] = net.training(table)
    batches = {}
    for m, t in trainings.items():
        batches[m] = next(t)
    stack = Stack([m.wanted[0] for m in members])
    live = set(members)
    while live:
        steps = stack.train_step(batches[members[0]])
        for m, step in zip(members, steps):
            if m in live:
                try: batches[m] = trainings[m].send(step)
                except StopIteration: live.discard(m)
                except BaseException as e: m.failure = e; live.discard(m)
    stack.take_apart()
