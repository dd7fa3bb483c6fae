"""Updates per second of ours beside peers': blocks that alternate within one process.

Ours is ``warmflow.training.train`` itself, with all that it does in an update. It cannot be stopped and gone on with, so the
others are run from inside it: ``Clocked`` wraps the objective, whose ``pair`` is the first thing asked for in every step, and a
``Turns`` decides there whether the block of ours is over. Then its clock is stopped, the others' blocks are run, and its clock
starts again. Order within a round is reversed in every second one.

    ratio = median over rounds of ours / the largest of the peers' medians;  its lower bound is the 5 % quantile over bootstraps
            of whole rounds, so that a mood of the machine that lasts a round falls on all alike
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from warmflow.contracts import Batch, Objective, Pair, Player
from warmflow.noise import Noise

BOOTSTRAPS = 10_000
OURS = "ours"


@dataclass(frozen=True, eq=False)
class Clocked(Objective):
    """An objective that says when a step begins."""

    inner: Objective
    begins: Callable[[], None]

    @property
    def players(self) -> Mapping[str, Player]:  # type: ignore[override]
        return self.inner.players

    @property
    def product(self) -> str:  # type: ignore[override]
        return self.inner.product

    def turn(self, step: int) -> str:
        return self.inner.turn(step)

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        self.begins()
        return self.inner.pair(batch, noise=noise)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        return self.inner.loss(turn, pair, noise=noise)


def order(others: Sequence[str], rounds: int) -> list[str]:
    """Who runs a block after whom: every round has each once, every second one is reversed."""
    forth = [OURS, *others]
    return [name for k in range(rounds) for name in (forth[::-1] if k % 2 else forth)]


@dataclass
class Turns:
    """Blocks of ``updates`` in the order asked; ``seconds`` (on the clock) and ``work`` (of the processor) by name and block."""

    blocks: list[str]
    updates: int
    others: Mapping[str, Callable[[int], None]]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    work: dict[str, list[float]] = field(default_factory=dict)
    done: int = 0
    began: tuple[float, float] | None = None

    def __call__(self) -> None:
        """A step of ours begins."""
        if self.began is not None:
            self.done += 1
            if self.done < self.updates:
                return
            self._note(OURS, self.began)
        self.began, self.done = None, 0
        while self.blocks and self.began is None:
            name, now = self.blocks.pop(0), (time.perf_counter(), time.process_time())
            if name == OURS:
                self.began = now
            else:
                self.others[name](self.updates)
                self._note(name, now)

    def _note(self, name: str, began: tuple[float, float]) -> None:
        self.seconds.setdefault(name, []).append(time.perf_counter() - began[0])
        self.work.setdefault(name, []).append(time.process_time() - began[1])


def ratios(updates: int, seconds: Mapping[str, Sequence[float]], seed: int = 0) -> dict[str, tuple[float, float]]:
    """Ours over each peer, and over the best of them ("best"): the ratio of median updates per second and its one-sided 95 %
    lower bound. Seconds by name, one a round."""
    speed = {name: updates / np.array(values) for name, values in seconds.items()}
    rounds = len(speed[OURS])
    chosen = np.random.default_rng(seed).integers(rounds, size=(BOOTSTRAPS, rounds))
    median = {name: np.median(v) for name, v in speed.items()}
    again = {name: np.median(v[chosen], axis=1) for name, v in speed.items()}
    peers = [name for name in speed if name != OURS]
    found = {}
    for label, group in (*((name, [name]) for name in peers), ("best", peers)):
        ratio = median[OURS] / max(median[name] for name in group)
        spread = again[OURS] / np.max([again[name] for name in group], axis=0)
        found[label] = (float(ratio), float(np.quantile(spread, 0.05)))
    return found
