"""Sampling: source + field + solver -> samples. A sampler is itself a source, so chains of flows and one-step students need no
extra code.

The flow is integrated on the float64 time grid of ``solvers.grid``, from each start's own time to 1. Every random number of a
sample depends only on the seed and the index of the sample: 100 samples are the same whether they are drawn in one batch or in
ten.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Condition, Field, Samples, Solver, Source, Start, State, Wrapper
from warmflow.fields import module_of
from warmflow.noise import Noise
from warmflow.number_checks import is_whole, numbers_checked
from warmflow.records import concatenate
from warmflow.solvers.grid import grid
from warmflow.user_code import in_evaluation_mode, modules_of

Hook = Callable[[State], State]


@dataclass(frozen=True)
class Clip:
    """A hook that clips every finished sample (t = 1) to [low, high]: the same post-processing for every method."""

    low: float
    high: float

    def __call__(self, state: State) -> State:
        done = (state.t >= 1).to(state.x.device).reshape(-1, *[1] * (state.x.ndim - 1))
        return replace(state, x=torch.where(done, state.x.clamp(self.low, self.high), state.x))


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps" and torch.backends.mps.is_available():
        torch.mps.synchronize()
    return time.perf_counter()


@dataclass(frozen=True, eq=False)
class Sampler(Wrapper):
    """Draws starts from the source and integrates the flow to t = 1.

    Args:
        steps: number of intervals on [t0, 1].
        hooks: functions of the state, applied in order after every step.
        device: the device of the field; starts are moved to it.
    """

    source: Source
    field: Field
    solver: Solver
    steps: int
    hooks: tuple[Hook, ...] = ()
    device: str = "cpu"

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes

    @torch.no_grad()
    def walk(self, start: Start, *, noise: Noise, steps: int | None = None) -> Iterator[State]:
        """Integrates the flow from these starts and yields the states 0 .. n. All modules are in evaluation mode during a step.

        Raises:
            ValueError: steps is not a whole number of at least 1.
        """
        times = grid(self.field.path.begin(start), self.steps if steps is None else steps, self.solver.spacing)
        modules = modules_of(self.field, getattr(self.field, "network", None), *self.hooks)
        with in_evaluation_mode(modules):
            state = self.solver.begin(start, times[0], noise=noise)
        yield state
        for i, s in enumerate(times[1:]):
            with in_evaluation_mode(modules):
                state = self.solver.step(self.field, state, s, noise=noise.fold(i))
                for hook in self.hooks:
                    state = hook(state)
            yield state

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        """The sampler as a source: x0 is the generated sample, conditions are kept, and ``Start.calls`` counts the flow and its
        own source.
        """
        start = self.source.draw(n, condition, noise=noise.fold("source")).to(self.device)
        state = self._end(start, noise.fold("solver"), self.steps)
        calls = state.calls if start.calls is None else state.calls + start.calls
        return Start(state.x, start.condition, start.fixed, None, calls)

    def _end(self, start: Start, noise: Noise, steps: int) -> State:
        (last,) = deque(self.walk(start, noise=noise, steps=steps), maxlen=1)
        return last

    @numbers_checked
    def __call__(
        self,
        n: int | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        batch: int | None = None,
        condition: Condition | None = None,
        start: Start | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Samples:
        """Draws n samples, or one for every row of ``start``.

        Args:
            seed: seed of all random numbers; the same seed and index give the same sample at any batch size.
            steps: number of steps instead of ``self.steps``.
            batch: number of rows integrated together; None for all.
            condition: conditions for the source, with one row per sample.
            start: starts to integrate from, instead of samples of the source.
            progress: called with the number of finished samples after each batch.

        Returns:
            Samples with x (n, *S), calls (n,) of the flow's network, and the seconds in total and of the source alone.

        Raises:
            ValueError: n is missing or below 1, batch is below 1, or steps is not a whole number of at least 1.
        """
        if start is not None:
            n = len(start)
        if not is_whole(n):
            raise ValueError(f"n is {n}; ask for at least one sample")
        if batch is not None and not is_whole(batch):
            raise ValueError(f"batch is {batch}; it must be at least 1")
        steps = self.steps if steps is None else steps
        device, parts, source_seconds = torch.device(self.device), [], 0.0
        began = _clock(device)
        for first in range(0, n, batch or n):
            rows = slice(first, min(first + (batch or n), n))
            noise = Noise.of(seed, rows.stop - first, first)
            before = _clock(device)
            given = None if condition is None else {k: v[rows] for k, v in condition.items()}
            starts = (
                self.source.draw(rows.stop - first, given, noise=noise.fold("source")) if start is None else start[rows]
            )
            starts = starts.to(device)
            source_seconds += _clock(device) - before
            parts.append(self._end(starts, noise.to(device).fold("solver"), steps))
            if progress is not None:
                progress(rows.stop)
        state = concatenate(parts)
        return Samples(state.x, state.start, steps, state.calls, _clock(device) - began, source_seconds)


@numbers_checked
def trajectory(sampler: Sampler, start: Start, *, seed: int = 0) -> Tensor:
    """The states (steps + 1, B, *S) of a trajectory, for figures."""
    noise = Noise.of(seed, len(start)).fold("solver")
    return torch.stack([state.x for state in sampler.walk(start.to(sampler.device), noise=noise)])


def placed(sampler: Sampler, device: str) -> Sampler:
    """The sampler with its network on another device; starts are moved there when it samples."""
    network = module_of(sampler.field)
    if network is not None:
        network.to(device)
    return replace(sampler, device=device)
