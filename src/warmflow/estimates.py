"""What work will take, found out from a small part of it.

Inside ``trying()`` long loops (training, pairing) do a small part of their rounds, and ``clock()`` runs ahead by what the others
would take. So code that tells its seconds by this clock tells those of all the work. Elsewhere nothing is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST, LONG = 40, 1.0
"""Rounds of a loop that are timed at most; seconds after which no further round begins."""


class _State:
    trying = False
    ahead = 0.0


_state = _State()


@contextmanager
def trying() -> Iterator[None]:
    """Lets long loops stop early."""
    before, _state.trying = _state.trying, True
    try:
        yield
    finally:
        _state.trying = before


def is_trying() -> bool:
    """Whether only a small part of the work is done."""
    return _state.trying


def clock() -> float:
    """Seconds, those of the rounds that were left out among them; only differences have a meaning."""
    return time.perf_counter() + _state.ahead


class Rounds:
    """A loop of which a part may be timed.

    Args:
        total: its number of rounds.
        warm: first rounds that are slower than the others, and not timed.
    """

    def __init__(self, total: int, warm: int = 0) -> None:
        self.total, self.warm, self.done = total, warm, 0
        self.began = time.perf_counter()

    def enough(self) -> bool:
        """Called after every round: whether the others are left out."""
        self.done += 1
        if self.done == self.warm:
            self.began = time.perf_counter()
        timed = self.done - self.warm
        return _state.trying and timed > 0 and (timed >= MOST or time.perf_counter() - self.began > LONG)

    def left_out(self) -> None:
        """Called after the loop: lets the clock run ahead by what the rounds that were left out would take."""
        timed = self.done - self.warm
        if _state.trying and self.done < self.total and timed > 0:
            _state.ahead += (self.total - self.done) * (time.perf_counter() - self.began) / timed


def ahead(seconds: float) -> None:
    """Lets the clock run ahead."""
    _state.ahead += max(0.0, seconds) if _state.trying else 0.0
