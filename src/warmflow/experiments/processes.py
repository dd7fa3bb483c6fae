"""Several processes on one machine, by joblib: the one helper behind everything that runs beside each other.

Each process has one thread. A worker that dies is one clear error, and what the others finished stays where they wrote it. No
worker outlives its parent: each watches it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

T = TypeVar("T")
EVERY = 1.0
"""Seconds between two looks at the parent."""
SHOWN_EVERY = 0.5
"""Seconds between two updates of a progress bar."""


def begin(parent: int) -> None:
    """The first thing a worker does."""
    torch.set_num_threads(1)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _task(folder: str, function: Callable[..., T], task: tuple[object, ...]) -> T:
    """A task in the parent's working directory: workers are kept from one call to the next, and paths may be relative."""
    os.chdir(folder)
    return function(*task)


def _follow(parent: int) -> None:
    """Ends this process when its parent is gone: two processes must never write one run folder."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)


class Bar:
    """A progress bar that follows what workers write, in a thread: ``done()`` of ``total``.

    Args:
        unit: what is counted; empty for no bar.
    """

    def __init__(self, done: Callable[[], int], total: int, what: str, unit: str) -> None:
        self.done, self.total, self.what, self.unit = done, total, what, unit
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def _show(self) -> None:
        from tqdm import tqdm

        with tqdm(total=self.total, desc=self.what, unit=self.unit) as bar:
            while not self._ended.wait(SHOWN_EVERY):
                bar.update(self.done() - bar.n)
            bar.update(self.done() - bar.n)

    def __enter__(self) -> Bar:
        if self.unit:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self.unit:
            self._thread.join()


def each(
    function: Callable[..., T], tasks: Sequence[tuple[object, ...]], *, jobs: int = 1, what: str = "task"
) -> list[T]:
    """``function(*task)`` of every task, ``jobs`` at a time, in their order.

    Args:
        jobs: processes; with one, or of one task, all is done in this process.
        what: what errors call a task.

    Raises:
        ValueError: a worker that died (killed for memory, most often).
    """
    jobs = min(jobs, len(tasks))
    if jobs < 2:
        return [function(*task) for task in tasks]
    try:
        with parallel_config(backend="loky", n_jobs=jobs, initializer=begin, initargs=(os.getpid(),)):
            here = os.getcwd()
            return list(
                Parallel(batch_size=1, pre_dispatch=jobs)(delayed(_task)(here, function, task) for task in tasks)
            )
    except TerminatedWorkerError:
        raise ValueError(
            f"a process that worked on a {what} was ended from outside, most often for want of memory; what is finished is kept: "
            "run the same command again, with fewer jobs"
        ) from None
    except BaseException:  # an error of one task, or Ctrl-C: the others must not go on writing
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise
