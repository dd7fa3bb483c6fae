"""Samples that answer an input, through ``evaluate``: ready answers are a generator's, and one that ignores its input fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.data.ready import Answers, Inputs, most
from warmflow.evaluation.curves import difference
from warmflow.evaluation.evaluate import evaluate
from warmflow.evaluation.exchange import ERROR, shown_worse
from warmflow.evaluation.verdict import Outcome

SPREAD = 0.5
CALLS = (1, 2, 4)


def pairs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs (n, 2) ~ N(0, 1), and truths that are the inputs plus N(0, 1/4): the posterior is known."""
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 2, generator=g)
    return inputs, inputs + SPREAD * torch.randn(n, 2, generator=g)


class Posterior:
    """Draws from the posterior with an error of ``bias`` / steps; one draw of an input depends on nothing but the seed and it."""

    def __init__(self, bias: float, number: int, ignores: bool = False) -> None:
        self.bias, self.number, self.ignores = bias, number, ignores

    def __call__(self, n: int, *, steps: int, seed: int, inputs: Tensor) -> Tensor:
        assert n == len(inputs)
        out = []
        for row in inputs:
            g = torch.Generator().manual_seed(hash((float(row[0]), seed % 4, steps, self.number)) % 2**31)
            noise = torch.randn(4, generator=g)
            out.append(
                noise[:2] * (1 + SPREAD**2) ** 0.5 if self.ignores else row + SPREAD * noise[:2] + self.bias / steps
            )
        return torch.stack(out)


REAL, TRAIN = pairs(450, 1), pairs(400, 2)
INPUTS = Inputs(REAL[0], TRAIN[0])
BASELINE = [Posterior(2.0, s) for s in (0, 1)]


def ready(method: Posterior) -> dict[int, Tensor]:
    return {k: torch.stack([method(450, steps=k, seed=d, inputs=REAL[0]) for d in range(4)]) for k in CALLS}


def judged(candidate: list[Posterior]) -> object:
    return evaluate(
        REAL[1], baseline={"cold": [ready(m) for m in BASELINE]}, candidates={"warm": [ready(m) for m in candidate]},
        train=TRAIN[1], inputs=INPUTS,
    )  # fmt: skip


@pytest.mark.long
def test_ready_answers_are_measured_as_their_generator_is() -> None:
    candidate = [Posterior(0.3, 10 + s) for s in (0, 1)]
    found = judged(candidate)
    wanted = most(300, 150)
    drawn = evaluate(
        REAL[1], baseline={"cold": {"": BASELINE}}, candidates={"warm": {"": candidate}}, train=TRAIN[1], inputs=INPUTS,
        samples=wanted,
    )  # fmt: skip
    known = {(r.method, r.steps, r.seed): r.measure.distance for r in drawn.study.rows}
    for row in found.study.rows:  # type: ignore[attr-defined]
        assert row.measure.distance == pytest.approx(known[row.method, row.steps, row.seed], abs=1e-12)
        assert row.measure.samples == wanted == 200
    assert found.study.metrics[0].name == "pairs of input and output"  # type: ignore[attr-defined]
    assert found.verdict.outcome is Outcome.FASTER  # type: ignore[attr-defined]


@pytest.mark.long
def test_a_sampler_that_ignores_its_input_is_never_faster() -> None:
    """Its outputs have the right distribution, and at 4 calls the baseline's are off by half a standard deviation."""
    study = judged([Posterior(0.0, 20 + s, ignores=True) for s in (0, 1)])
    curve = {m.name: study.study.curve(m.name) for m in study.study.methods}  # type: ignore[attr-defined]
    outputs, joint = (
        {name: c.mean(metric)[0] for name, c in curve.items()} for metric in ("outputs", "pairs of input and output")
    )
    assert outputs["warm"] < 0.1 * outputs["cold"], "by outputs alone it would win"
    assert joint["warm"] > 0.01 > 3 * abs(outputs["warm"])
    assert study.verdict.outcome not in (Outcome.FASTER, Outcome.NEARER)  # type: ignore[attr-defined]


def test_no_input_is_asked_twice_and_no_smaller_number_would_do() -> None:
    for test in (5, 20, 33, 300):
        for validation in range(5, 60):
            n = most(test, validation)
            fits = [n + more - (n + more) // 4 <= validation and (n + more) // 4 <= test for more in (0, 1)]
            assert fits == [True, False]


def test_answers_are_looked_up_by_input_and_refused_where_they_cannot_be() -> None:
    inputs = REAL[0][:30]
    x = torch.arange(4 * 30.0).reshape(4, 30, 1)
    found = Answers.of({2: x}, inputs, "warm")
    rows = torch.tensor([7, 3, 29])
    assert torch.equal(found(3, steps=2, seed=6, inputs=inputs[rows]), x[2, rows])
    with pytest.raises(ValueError, match=r"warm at 2 calls has answers of shape \(1, 30, 1\); give at least 4 draws"):
        Answers.of({2: x[:1]}, inputs, "warm")
    with pytest.raises(ValueError, match="inputs has 1 duplicate rows; .* give a generator"):
        Answers.of({2: x}, inputs[[0, *range(29)]], "warm")
    with pytest.raises(ValueError, match=r"inputs\.real has 449 rows and real 450; give one input for each row"):
        evaluate(REAL[1], baseline={"cold": BASELINE}, candidates={"warm": BASELINE}, train=TRAIN[1], clip=(-9, 9),
                 inputs=Inputs(REAL[0][1:], TRAIN[0]))  # fmt: skip
    with pytest.raises(ValueError, match="inputs needs train, .*; give train"):
        evaluate(REAL[1], baseline={"cold": BASELINE}, candidates={"warm": BASELINE}, clip=(-9, 9), inputs=INPUTS)


# ---------------------------------------------------------------- the three wrong samplers


class Sampler:
    """Answers with mean scale * input + shift and standard deviation spread, whatever the steps: the posterior of the truth
    has (1, 0, 1/2), its regression (1, 0, 0), a sampler that ignores its input (0, 0, sqrt(5)/2)."""

    def __init__(self, number: int, scale: float = 1.0, shift: float = 0.0, spread: float = SPREAD) -> None:
        self.number, self.scale, self.shift, self.spread = number, scale, shift, spread

    def __call__(self, n: int, *, steps: int, seed: int, inputs: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(7_919 * seed + 31 * steps + self.number)
        return self.scale * inputs + self.shift + self.spread * torch.randn(n, 2, generator=g)


WRONG = {
    "a regression": {"spread": 0.0},
    "one that ignores its input": {"scale": 0.0, "spread": (1 + SPREAD**2) ** 0.5},
    "biased and spread too far": {"shift": 0.4, "spread": (SPREAD**2 + 0.4**2) ** 0.5},
}


@pytest.mark.long
@pytest.mark.parametrize("name", WRONG)
def test_wrong_samplers_are_worse_than_the_posterior_at_every_number_of_calls(name: str) -> None:
    """The last has the recovered variance of the posterior, 1, and its error is that of its own spread."""
    real, train = pairs(1_200, 1), pairs(800, 2)
    steps = (1, 2, 4)

    def method(first: int, **off: float) -> dict[int, dict[int, Sampler]]:
        return {s: Sampler(first + s, **off) for s in range(3)}  # type: ignore[return-value]

    found = evaluate(
        real[1], baseline={"posterior": method(10)}, candidates={"wrong": method(20, **WRONG[name])}, train=train[1],
        inputs=Inputs(real[0], train[0]), samples=800, clip=(-20.0, 20.0),
    )  # fmt: skip
    study, verdict = found.study, found.verdict
    assert verdict.outcome not in (Outcome.FASTER, Outcome.NEARER, Outcome.DRAFT_ENOUGH)
    names = [m.name for m in study.metrics]
    ours, theirs = study.curve("wrong"), study.curve("posterior")
    rows = np.flatnonzero(np.isin(ours.steps, steps))
    assert all(shown_worse(theirs, i, ours, names, ERROR)[i] for i in rows)
    assert not any(shown_worse(ours, i, theirs, names, ERROR)[i] for i in rows)
    assert all(difference(ours, theirs, "energy score", rows, rows).low(0.975) > 0), "a proper score alone is enough"
    if name.startswith("biased"):
        beside = [r.measure.beside["recovered variance"] for r in study.rows_of("wrong")]
        assert sum(beside) / len(beside) == pytest.approx(1, abs=0.15)


@pytest.mark.long
def test_the_posterior_itself_is_not_told_from_the_posterior() -> None:
    real, train = pairs(1_200, 1), pairs(800, 2)
    found = evaluate(
        real[1], baseline={"a": {s: Sampler(10 + s) for s in range(3)}}, candidates={"b": {s: Sampler(20 + s) for s in range(3)}},
        train=train[1], inputs=Inputs(real[0], train[0]), samples=800, clip=(-20.0, 20.0),
    )  # fmt: skip
    names = [m.name for m in found.study.metrics]
    a, b = found.study.curve("a"), found.study.curve("b")
    told = sum(shown_worse(x, i, y, names, ERROR)[i] for x, y in ((a, b), (b, a)) for i in range(len(a.calls)))
    assert told <= 1 and found.verdict.outcome not in (Outcome.FASTER, Outcome.NEARER)
