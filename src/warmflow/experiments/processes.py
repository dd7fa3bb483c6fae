"""Several processes on one machine, by joblib's loky: the one helper behind everything that runs beside each other.

Each process has one thread. A worker that dies is one clear error, and what the others finished stays where they wrote it. No
worker outlives its parent: each watches it. Where one task fails or a signal comes, the others save and stop (``signals``).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import suppress
from typing import TypeVar

import torch
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from warmflow import signals
from warmflow.failures import Failed
from warmflow.files import held_folders, hold_alike
from warmflow.printing import bar

T = TypeVar("T")
SHOWN_EVERY = 0.5
"""Seconds between two updates of a progress bar."""
LOOKS = 0.2
"""Seconds between two looks for a signal while workers work."""
PATIENCE = 25.0
"""Seconds that workers have to save when they must stop: an update may be long, and Slurm and Kubernetes give 30."""
IDLE = 300
"""Seconds after which a worker without a task ends."""
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip


def _task(folder: str, held: Mapping[str, tuple[int, int]], function: Callable[..., T], task: tuple[object, ...]) -> T:
    """A task in the parent's working directory: workers are kept from one call to the next, and paths may be relative.

    Args:
        held: the folders that the parent has locked.
    """
    torch.set_num_threads(1)
    with signals.interruptible():
        os.chdir(folder)
        hold_alike(held)
        return function(*task)


class Bar:
    """A progress bar that follows what workers write, in a thread: ``done()`` of ``total`` (None if unknown).

    Args:
        unit: what is counted; empty for no bar.
    """

    def __init__(self, done: Callable[[], int], total: int | None, what: str, unit: str) -> None:
        self.done, self.total, self.what, self.unit = done, total, what, unit
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def _show(self) -> None:
        with bar(total=self.total, what=self.what, unit=self.unit) as shown:
            while not self._ended.wait(SHOWN_EVERY):
                shown.update(self.done() - shown.n)
            shown.update(self.done() - shown.n)

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
        Failed: a worker that died (killed for memory, most often).
    """
    jobs = min(jobs, len(tasks))
    if jobs < 2:
        return [function(*task) for task in tasks]
    with signals.blocked():
        executor = get_reusable_executor(
            jobs, timeout=IDLE, initializer=signals.begin, initargs=(os.getpid(),), env=_threads(jobs)
        )
        signals.takes_along(lambda: _workers(executor))
        here = os.getcwd()
        futures = [executor.submit(_task, here, held_folders(), function, task) for task in tasks]
    try:
        with signals.held():
            left = set(futures)
            while left and not signals.stop_asked():
                done, left = wait(left, LOOKS, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if signals.NOTICE is not None and signals.take_notice():
                    _send(executor, signals.NOTICE)
        return [future.result() for future in futures]
    except TerminatedWorkerError as error:
        signals.check()
        raise Failed(
            f"a process that worked on a {what} was ended from outside, most often for want of memory; what is finished is kept: "
            f"run the same command again, with fewer jobs (--jobs {max(jobs // 2, 1)})"
        ) from error
    except BaseException:  # an error of one task, or a signal: the others must not go on
        _stop(executor, futures)
        raise


def _threads(jobs: int) -> dict[str, str]:
    """The numbers of threads of libraries in each of so many processes, where the user has not set them."""
    each_has = max((os.cpu_count() or 1) // jobs, 1)
    return {name: os.environ.get(name, str(each_has)) for name in THREADS}


def _workers(executor: ProcessPoolExecutor) -> list[int]:
    return list(executor._processes or ())


def _send(executor: ProcessPoolExecutor, signum: int) -> None:
    for pid in _workers(executor):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _stop(executor: ProcessPoolExecutor, futures: Sequence[Future[T]]) -> None:
    """Lets every worker save what it has and take no new task, then ends it."""
    for future in futures:
        future.cancel()
    _send(executor, signal.SIGTERM)
    wait([future for future in futures if not future.cancelled()], PATIENCE)
    executor.shutdown(wait=True, kill_workers=True)
