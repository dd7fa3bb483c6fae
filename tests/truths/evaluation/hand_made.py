"""Studies and curves made by hand: every distance is written down, so that the verdict can be worked out on paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from warmflow.evaluation.curves import Curve
from warmflow.evaluation.study import Measure, Method, MetricFacts, RealFacts, Role, Row, Study, Times, Training

SCATTER = 0.9
TEST, VALIDATION, SAMPLES = 2_000, 1_000, 2_000
BASELINE = {1: 0.1, 2: 0.05, 4: 0.02, 8: 0.01, 16: 0.005}
FOUR_TIMES = {1: 0.02, 2: 0.01, 4: 0.005, 8: 0.005, 16: 0.005}
"""The baseline's curve at four times the calls."""


def offsets(k: int, sd: float) -> np.ndarray:
    """k values of mean 0 and standard deviation sd (ddof 1)."""
    if k < 2:
        return np.zeros(k)
    raw = np.linspace(-1, 1, k)
    return sd * raw / raw.std(ddof=1)


def wave(real: float, turn: float = 0.0) -> np.ndarray:
    """Replicates of mean 0 and standard deviation real (ddof 1)."""
    raw = np.sin(2 * np.pi * np.arange(40) / 40 + turn)
    return real * raw / raw.std(ddof=1)


def curve(
    name: str,
    means: Mapping[float, float],
    *,
    sd: float = 1e-4,
    real: float = 0.0,
    k: int = 3,
    more: Mapping[str, Mapping[float, float]] | None = None,
    validation: Mapping[float, float] | None = None,
) -> Curve:
    """A curve whose means over seeds are as written; ``more`` are further metrics, by name."""
    calls = sorted(means)
    tables = {"m": means, **(more or {})}
    values = {m: np.array([[at[c] for c in calls]] * k) + offsets(k, sd)[:, None] for m, at in tables.items()}
    return Curve(
        name=name,
        steps=np.array([int(round(c)) for c in calls]),
        calls=np.array(calls, dtype=float),
        values=values,
        replicates={m: v.mean(0)[:, None] + wave(real)[None] for m, v in values.items()},
        validation={m: np.array([(validation or at)[c] for c in calls]) for m, at in tables.items()},
    )


@dataclass(frozen=True)
class Given:
    """A method of a hand-made study: distances by calls, and what else is known."""

    role: Role
    means: Mapping[int, float]
    sd: float = 1e-4
    real: float = 0.0
    turn: float = 0.0
    solver: str = ""
    solvers: tuple[str, ...] = ()
    of: str = ""
    second: Mapping[int, float] | None = None
    classes: tuple[float, ...] | None = None
    copies: tuple[float, ...] | None = None
    per_sample: Mapping[int, int] = field(default_factory=dict)


def study(
    methods: Mapping[str, Given],
    *,
    k: int = 3,
    seeds: Mapping[str, tuple[int, ...]] | None = None,
    scatter: float | None = SCATTER,
    times: tuple[Times, ...] = (),
    real: RealFacts | None = None,
    trained: Training = Training.EQUAL,
    items: str = "images",
) -> Study:
    """The study of these methods; ``seeds`` gives some of them training seeds of their own."""
    two = any(g.second is not None for g in methods.values())
    rows = []
    for name, g in methods.items():
        own = (seeds or {}).get(name, tuple(range(k)))
        for calls, mean in g.means.items():
            tables = {"m": mean, **({"n": (g.second or g.means)[calls]} if two else {})}
            for j, seed in enumerate(own):
                shift = float(offsets(len(own), g.sd)[j])
                noise = torch.from_numpy(wave(g.real, g.turn))
                measure = Measure(
                    g.per_sample.get(seed, SAMPLES),
                    {m: d + shift for m, d in tables.items()},
                    {m: d + shift + noise for m, d in tables.items()},
                    dict(tables),
                    None if g.classes is None else torch.tensor(g.classes, dtype=torch.float64),
                    None if g.copies is None else torch.tensor(g.copies, dtype=torch.float64),
                )
                rows.append(Row(name, calls, float(calls), seed, measure))
    return Study(
        methods=tuple(Method(n, g.role, g.solver, g.solvers, g.of) for n, g in methods.items()),
        rows=tuple(rows),
        metrics=tuple(MetricFacts(m, scatter, True, "real samples") for m in (["m", "n"] if two else ["m"])),
        real=real or RealFacts(TEST, VALIDATION),
        trained=trained,
        times=times,
        items=items,
    )


def pair(
    candidate: Mapping[int, float], baseline: Mapping[int, float] = BASELINE, **shared: object
) -> dict[str, Given]:
    """The candidate "warm" beside the baseline "cold"."""
    return {
        "cold": Given(Role.BASELINE, baseline, **shared),  # type: ignore[arg-type]
        "warm": Given(Role.CANDIDATE, candidate, **shared),  # type: ignore[arg-type]
    }
