"""What the command line does about signals: SIGINT (Ctrl-C), SIGTERM and SIGHUP end it, SIGUSR1 asks for a checkpoint.

The first signal raises ``Stopped`` where the program is; inside ``held()`` it waits for the end of the block, so that an update
is never cut in half. A later signal ends the process at once. Nothing is installed on import: ``handled`` installs the handlers
for the command line, ``follow`` for a worker process. Elsewhere the user's own handlers stay, and ``stop_asked`` returns 0.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
NOTICE = getattr(signal, "SIGUSR1", None)
"""The notice before a job is ended: Slurm's ``--signal=USR1@60``. Windows has none."""
EVERY = 0.25
"""Seconds between two looks of a worker at its parent."""
AS_ONE = 1.0
"""Seconds within which further signals count as the first: keys that are held, a terminal and a launcher that both send one."""


class Stopped(KeyboardInterrupt):
    """A signal has asked the program to stop.

    Args:
        signum: the number of the signal; ``code`` is the exit code that follows from it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.code = 128 + signum


class _State:
    """What was asked of this process. ``holds`` is above 0 where a signal must wait."""

    def __init__(self, worker: bool = False) -> None:
        self.worker = worker
        self.stop, self.at, self.noticed, self.holds = 0, 0.0, False, 0
        self.workers: Callable[[], Iterable[int]] = tuple  # none

    def asked(self, signum: int, frame: FrameType | None) -> None:
        """The handler of the signals that end the program."""
        if not self.stop:
            self.stop, self.at = signum, time.monotonic()
            if not self.holds:
                raise Stopped(signum)
        elif not self.worker and time.monotonic() - self.at > AS_ONE:  # a worker is ended by its parent
            for pid in self.workers():
                with suppress(OSError):
                    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            os._exit(128 + signum)

    def notice(self, signum: int, frame: FrameType | None) -> None:
        """The handler of the signal that asks for a checkpoint."""
        self.noticed = True


_state = _State()


@contextmanager
def handled(to_the_end: bool = False) -> Iterator[None]:
    """Handles the signals for as long as the block runs; signals that are ignored (``nohup``) stay so. Outside the main thread
    nothing is done.

    Args:
        to_the_end: the process ends with the block: once it was asked to stop, no further signal shall disturb that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    outer, _state = _state, _State()
    if to_the_end:
        atexit.register(_ignore)  # the first to be registered is the last to be called
    before = {signum: signal.getsignal(signum) for signum in (*STOPS, NOTICE) if signum is not None}
    before = {signum: handler for signum, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for signum in before:
        signal.signal(signum, _state.notice if signum == NOTICE else _state.asked)
    try:
        yield
    finally:
        if not (to_the_end and _state.stop):
            for signum, handler in before.items():
                signal.signal(signum, handler)
            _state = outer


def _ignore() -> None:
    """Lets a process that was asked to stop end with its own exit code: Python gives signals their default at its very end."""
    if _state.stop:
        for signum in (*STOPS, NOTICE):
            if signum is not None:
                signal.signal(signum, signal.SIG_IGN)


def begin(parent: int) -> None:
    """The first thing that a worker process does. This module imports nothing that takes long, so that a worker ends with its
    parent also while it is imported."""
    follow()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone: two processes must never write one run folder."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)


def follow() -> None:
    """Handles the signals in a worker process: a signal ends the current task, or else the next one before it begins."""
    global _state
    _state = _State(worker=True)
    _state.holds = 1
    for signum in STOPS:
        signal.signal(signum, _state.asked)
    if NOTICE is not None:
        signal.signal(NOTICE, _state.notice)
    _mask(block=False)


def stop_asked() -> int:
    """The number of the signal that has asked to stop; 0 for none."""
    return _state.stop


def check() -> None:
    """Raises ``Stopped`` if a signal has asked for it."""
    if _state.stop:
        raise Stopped(_state.stop)


def takes_along(workers: Callable[[], Iterable[int]]) -> None:
    """Sets the function that returns the ids of the worker processes. They are killed if this process is ended at once."""
    _state.workers = workers


def take_notice() -> bool:
    """Whether a checkpoint was asked for since this was last called."""
    noticed, _state.noticed = _state.noticed, False
    return noticed


@contextmanager
def held() -> Iterator[None]:
    """Lets a signal wait for the end of the block.

    Raises:
        Stopped: at the end, if a signal has come.
    """
    state = _state
    state.holds += 1
    try:
        yield
    finally:
        state.holds -= 1
    if not state.holds:
        check()


@contextmanager
def interruptible() -> Iterator[None]:
    """A task of a worker, which a signal may end.

    Raises:
        Stopped: also at once, if a signal came before.
    """
    state = _state
    try:
        state.holds = 0
        check()
        yield
    finally:
        state.holds = 1


@contextmanager
def blocked() -> Iterator[None]:
    """Blocks the signals in this thread and in the processes that it starts, until those call ``follow``."""
    before = _mask(block=True)
    try:
        yield
    finally:
        _mask(block=False, only=before)


def _mask(block: bool, only: frozenset[int] = frozenset()) -> frozenset[int]:
    """Blocks or unblocks the signals, except those in ``only``. Returns the signals that were blocked before."""
    if not hasattr(signal, "pthread_sigmask"):
        return frozenset()  # Windows
    ours = {signum for signum in (*STOPS, NOTICE) if signum is not None} - only
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, ours))
