"""Several processes on one machine, by joblib: the one helper behind everything that runs beside each other.

Each process has one thread. A worker that dies is one clear error, and what the others finished stays where they wrote it. No
worker outlives its parent: each watches it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

T = TypeVar("T")
EVERY = 1.0
"""Seconds between two looks at the parent."""


def begin(parent: int) -> None:
    """The first thing a worker does."""
    torch.set_num_threads(1)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """Ends this process when its parent is gone: two processes must never write one run folder."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)


def each(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], *, jobs: int = 1, what: str = "task") -> list[T]:
    """``function(*task)`` of every task, ``jobs`` at a time, in their order.

    Args:
        what: what errors call a task.

    Raises:
        ValueError: a worker that died (killed for memory, most often).
    """
    jobs = min(jobs, len(tasks))
    if jobs < 2:
        return [function(*task) for task in tasks]
    try:
        with parallel_config(backend="loky", n_jobs=jobs, initializer=begin, initargs=(os.getpid(),)):
            return list(Parallel()(delayed(function)(*task) for task in tasks))
    except TerminatedWorkerError:
        raise ValueError(
            f"a process that worked on a {what} was ended from outside, most often for want of memory; what is finished is kept: "
            "run the same command again, with fewer --jobs"
        ) from None
