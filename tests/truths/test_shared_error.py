"""The error of a claim is one number: divided by the metrics, any of which may show that a baseline row is worse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from warmflow.evaluation.curves import Curve
from warmflow.evaluation.exchange import Rules, exchanges

SEEDS, ERROR = 5, 0.025


def curve(name: str, calls: tuple[int, ...], means: dict[str, tuple[float, ...]]) -> Curve:
    """Rows with a standard deviation of 1 over seeds on every metric, a real set that is certain, and all of them useful."""
    raw = np.linspace(-1, 1, SEEDS)
    spread = (raw / raw.std(ddof=1))[:, None]
    return Curve(
        name=name,
        steps=np.array(calls),
        calls=np.array(calls, dtype=float),
        values={m: np.array(at)[None] + spread for m, at in means.items()},
        replicates={m: np.repeat(np.array(at)[:, None], 20, axis=1) for m, at in means.items()},
        validation={m: np.ones(len(calls)) for m in means},
    )


@pytest.mark.parametrize("metrics", [1, 2, 4])
@pytest.mark.parametrize("side", [0.9, 1.1])
def test_a_row_is_shown_to_be_worse_at_the_error_divided_by_the_metrics(metrics: int, side: float) -> None:
    """A difference of t standard errors on the first metric and none on the others: with 2 (k - 1) degrees of freedom its
    p-value is set just below and just above error / metrics."""
    gap = float(student.isf(side * ERROR / metrics, 2 * (SEEDS - 1))) * math.sqrt(2 / SEEDS)
    rest = {f"m{j}": (10.0, 10.0) for j in range(1, metrics)}
    baseline = curve("cold", (1, 2), {"m0": (10.0, 10.0 - gap), **rest})
    candidate = curve("warm", (1,), {"m0": (10.0 - gap,), **dict.fromkeys(rest, (10.0,))})
    (found,) = exchanges(candidate, [baseline], Rules(error=ERROR))
    assert found.baseline_calls == (2 if side < 1 else 1)
