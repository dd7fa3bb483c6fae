"""More processes for a long measurement: they go from the last rows back, and all keep what they measured in one folder.

Every process has one thread. Rows are timed beside each other, cold and warm alike; a row that two processes come to is
measured twice.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from warmflow.arms import Asked, follow_parent, planned
from warmflow.checkpoints import load
from warmflow.measuring import Entry, measured
from warmflow.recipes.plan import Plan
from warmflow.verdict import Ruler

WORTH = 120.0
"""Seconds of sampling below which another process, which reads everything again, is not worth its start."""


@dataclass
class Crew:
    """``start`` is told how long the sampling will take; ``close`` ends what is still running.

    Args:
        tasks: (arm, seed) of the trained runs in ``root``; processes measure them from the last to the first.
        jobs: processes in all, this one among them.
    """

    plan: Plan
    root: Path
    ruler: Ruler
    tasks: Sequence[tuple[str, int]]
    steps: Sequence[int]
    jobs: int
    running: list[BaseProcess] = field(default_factory=list)
    threads: int = field(default_factory=torch.get_num_threads)

    def start(self, seconds: float) -> None:
        if self.jobs < 2 or seconds < WORTH:
            return
        torch.set_num_threads(1)
        settings = tuple(dataclasses.asdict(self.plan.settings).items())
        for k in range(self.jobs, 1, -1):  # the first from the last arm back, the others from places evenly before it
            end = len(self.tasks) * k // self.jobs
            tasks = [*self.tasks[end:], *self.tasks[:end]]
            given = (self.plan.name, settings, str(self.root), self.ruler, tasks, tuple(self.steps))
            self.running.append(get_context("spawn").Process(target=_measure, args=given, daemon=True))
            self.running[-1].start()

    def close(self) -> None:
        for process in self.running:
            process.terminate()
            process.join()
        torch.set_num_threads(self.threads)


def _measure(
    recipe: str, settings: Asked, where: str, ruler: Ruler, tasks: Sequence[tuple[str, int]], steps: Sequence[int]
) -> None:
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own would be shared between processes, and outlive one that is ended
    torch.set_num_threads(1)
    threading.Thread(target=follow_parent, daemon=True).start()
    plan, root = planned(recipe, settings), Path(where)
    entries = [
        Entry(name, plan.flow.role(name), seed, load(root / "seeds" / str(seed) / name), 0.0) for name, seed in tasks
    ]
    for _ in measured(plan, ruler, entries, (), steps, False, folder=root, backwards=True):
        pass
