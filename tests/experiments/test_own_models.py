"""A user's own cold model beside a warm start: what the trial says before anything is trained, and what the verdict claims."""

import json
import math
from pathlib import Path

import pytest
import torch

import warmflow
from warmflow import OwnModel, WarmStart, wrap
from warmflow.contracts import Samples
from warmflow.experiments import compare as comparison
from warmflow.noise import Noise

CENTRES = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.5, -2.0]])
STD = 0.15
BETAS = torch.linspace(1e-4, 0.02, 1000)
A = torch.cumprod(1 - BETAS, 0).sqrt()
SMALL = {
    "updates": 5,
    "samples": 400,
    "width": 16,
    "depth": 1,
    "seeds": [0, 1],
    "calls": [1, 2, 8, 16],
    "progress": False,
}
WARM = WarmStart(rounds=1, block=400)


def data(n: int = 600) -> torch.Tensor:
    noise = Noise.of(11, n)
    return CENTRES[noise.integers("centre", high=3)] + STD * noise.normal("jitter", 2)


def x1_at(z: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """E[x1 | a x1 + b eps = z] of the data, in closed form."""
    a, b = a.reshape(-1, 1), b.reshape(-1, 1)
    variance = a**2 * STD**2 + b**2
    off = z[:, None] - a[:, :, None] * CENTRES
    weight = torch.softmax(-off.square().sum(2) / (2 * variance), 1)
    return (weight[:, :, None] * (CENTRES + off * (a * STD**2 / variance)[:, :, None])).sum(1)


class Diffusion(torch.nn.Module):
    """The exact noise predictor of DDPM, called with times 0 .. 999; clamped, as a network's embedding of times would be."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        a = A[k.long().clamp(0, 999)]
        b = (1 - a**2).sqrt()
        return self.weight * (z - a[:, None] * x1_at(z, a, b)) / b[:, None]


def good(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The exact velocity of the straight path."""
    return (x1_at(z, t, 1 - t) - z) / (1 - t)[:, None]


def ddim(n: int, steps: int, seed: int) -> torch.Tensor:
    """A sampler of one's own: DDIM at equal distances of k."""
    model, z = Diffusion(), torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(999, 0, steps + 1).long().tolist()
    with torch.no_grad():
        for k, later in zip(times, [*times[1:-1], -1], strict=False):
            eps = model(z, torch.full((n,), k))
            x1 = (z - (1 - A[k] ** 2).sqrt() * eps) / A[k]
            after = A[later] if later >= 0 else torch.ones(())
            z = after * x1 + (1 - after**2).sqrt() * eps
    return z


def judged(own: OwnModel, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict]:
    report = warmflow.compare(data(), [WARM, own], out=out, **SMALL)
    found = json.loads((out / "verdict.json").read_text())
    assert report.verdict
    return capsys.readouterr().err, found


@pytest.mark.long
def test_a_diffusion_model_taken_for_a_flow_is_named_and_nothing_is_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained, with the schedule that fits."""
    said_first: list[str] = []
    kept = comparison.train_all
    monkeypatch.setattr(
        comparison, "train_all", lambda *a, **k: (said_first.append(capsys.readouterr().err), kept(*a, **k))[1]
    )
    _, found = judged(OwnModel(field=wrap(Diffusion())), tmp_path / "c", capsys)
    lines = [line for line in said_first[0].splitlines() if "your cold model" in line]
    assert "hardly nearer to the data than noise" in lines[0] or "farther from the data with" in lines[0]
    assert "this looks like a diffusion model: wrap(model, schedule=...)" in lines[0]
    assert "with schedule='vp', predicts='epsilon' its distance is" in lines[0]
    assert "farther from the data than the draft alone" in lines[1] and len(lines) == 2
    verdict = found["candidates"]["warm-start"]
    assert (verdict["outcome"], verdict["missing"], verdict["rate"]) == ("cannot tell", ["training"], None)
    assert "no baseline is near the data" in json.dumps(found) and "training not known" in json.dumps(found)


@pytest.mark.long
@pytest.mark.parametrize(
    "own",
    [
        OwnModel(field=wrap(Diffusion(), schedule="vp")),
        OwnModel(field=wrap(good)),
        OwnModel(generator=ddim),
    ],
    ids=["a diffusion model", "a flow", "a sampler"],
)
def test_models_and_samplers_near_the_data_are_baselines_without_a_word(
    own: OwnModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, found = judged(own, tmp_path / "c", capsys)
    assert "your cold model" not in said
    assert found["candidates"]["warm-start"]["missing"] != ["training"]
    cold = next(c for c in found["curves"] if c["name"] == "cold")
    assert [row["calls"] for row in cold["points"]][-1] in (15, 16)


def test_a_sampler_is_called_once_for_whole_samples_and_its_steps_are_its_calls() -> None:
    asked = []

    def cold(n: int, steps: int, seed: int) -> torch.Tensor:
        asked.append((n, steps, seed))
        return torch.full((n, 2), float(steps))

    setup = warmflow.problem_of(data()).setup(updates=5)
    sampler = OwnModel(generator=cold)._sampler(setup)
    for steps in (1, 3, 7, 50):
        drawn = sampler(10, steps=steps, seed=4)
        assert bool((drawn.x == steps).all()) and drawn.calls.tolist() == [steps] * 10
    assert [(n, steps) for n, steps, _ in asked] == [(10, 1), (10, 3), (10, 7), (10, 50)]
    assert len({seed for *_, seed in asked}) == 1 and asked[0][2] >= 0
    sampler(10, steps=1, seed=5)
    assert asked[-1][2] != asked[0][2], "another seed, other samples"
    sampler(10, steps=1, seed=4, batch=5)
    assert asked[-1][2] != asked[-2][2], "batches are different samples"


def test_a_sampler_that_counts_its_calls_is_believed() -> None:
    def heun(n: int, steps: int, seed: int) -> Samples:
        x = torch.zeros(n, 2)
        return Samples(x, warmflow.Start(x), steps, torch.full((n,), 2 * steps - 1), 0.0, 0.0)

    sampler = OwnModel(generator=heun)._sampler(warmflow.problem_of(data()).setup(updates=5))
    assert sampler(3, steps=4).calls.tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"generator": 3}, "generator is a int; give one of the two"),
        ({"generator": ddim, "field": wrap(good)}, "generator is given beside field"),
        ({}, "field is a NoneType; wrap your model first"),
    ],
)
def test_one_of_the_two_is_given(given: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OwnModel(**given)


@pytest.mark.parametrize(
    ("generator", "says"),
    [
        (lambda n, seed: torch.zeros(n, 2), r"fails when it is called as generator\(2, steps=2, seed=\d+\): TypeError"),
        (lambda n, steps, seed: torch.zeros(n, 3), r"returned samples of shape \(2, 3\), expected \(2, 2\)"),
        (lambda n, steps, seed: torch.full((n, 2), math.nan), "your cold sampler gives NaN or infinite values"),
        (lambda n, steps, seed: "x", "your cold sampler fails"),
    ],
)  # fmt: skip
def test_a_sampler_that_fails_is_named_before_anything_is_trained(generator, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        warmflow.compare(data(), [WARM, OwnModel(generator=generator)], out=tmp_path / "c", **SMALL)
    assert "\n" not in str(caught.value) and not (tmp_path / "c").exists()
