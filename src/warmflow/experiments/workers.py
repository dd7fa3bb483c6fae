"""More processes for a long measurement: they go from the last rows back, and all keep what they measured in one store.

Every process has one thread. A row that two processes come to is measured twice. Seconds are not taken from these rows: they
are timed afterwards, interleaved, by one process.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import torch

from warmflow.evaluation.real import RealData
from warmflow.evaluation.rows import Entry
from warmflow.experiments.measure import Store, rows_of
from warmflow.experiments.train_flows import follow_parent

WORTH = 40.0
"""Seconds of sampling below which another process, which reads everything again, is not worth its start."""


@dataclass
class Crew:
    """``start`` begins the other processes; ``close`` ends what is still running.

    Args:
        jobs: processes in all, this one among them.
    """

    entries: Sequence[Entry]
    choices: Mapping[str, str]
    real: RealData
    samples: int
    store: Store
    jobs: int
    running: list[BaseProcess] = field(default_factory=list)
    threads: int = field(default_factory=torch.get_num_threads)

    def start(self, seconds: float) -> None:
        """Begins, where so many seconds of sampling are left that it is worth it."""
        if self.jobs < 2 or seconds < WORTH:
            return
        torch.set_num_threads(1)
        for k in range(self.jobs, 1, -1):  # the first from the last entry back, the others from places evenly before it
            end = len(self.entries) * k // self.jobs
            mine = [*self.entries[end:], *self.entries[:end]]
            given = (mine, dict(self.choices), self.real, self.samples, self.store)
            self.running.append(get_context("spawn").Process(target=_measure, args=given, daemon=True))
            self.running[-1].start()

    def close(self) -> None:
        for process in self.running:
            process.terminate()
            process.join()
        torch.set_num_threads(self.threads)


def _measure(entries: Sequence[Entry], choices: Mapping[str, str], real: RealData, samples: int, store: Store) -> None:
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own would be shared between processes, and outlive one that is ended
    torch.set_num_threads(1)
    threading.Thread(target=follow_parent, daemon=True).start()
    rows_of(entries, choices, real, samples, store, backwards=True)
