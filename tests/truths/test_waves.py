"""The problem of sine waves: its moments in closed form, what holds of every series, found by its name."""

import json
import math

import numpy as np
import pytest
import torch

import warmflow
from warmflow.cli import main
from warmflow.noise import Noise
from warmflow.options import OptionError
from warmflow.problems import PROBLEMS, problem_from, problem_of
from warmflow.problems.waves import Waves

N = 40_000


def covariance(problem):
    gap = torch.arange(problem.length, dtype=torch.float64)
    gap = gap[:, None] - gap[None]
    waves = sum(torch.cos(2 * math.pi * f * gap / problem.length) for f in range(1, problem.fastest + 1))
    share = 1 - problem.spread**2
    return share / problem.fastest * waves + problem.spread**2 * torch.eye(problem.length, dtype=torch.float64)


@pytest.mark.parametrize("sines", [1, 3])
@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_moments_are_those_of_the_formulas(sines, spread):
    """Within five standard errors; a product of two values has a standard deviation of at most about 1.5."""
    problem = Waves(sines=sines, spread=spread, length=12, fastest=4)
    x = problem.series(N, Noise.of(7, N)).double()
    assert float(x.mean(0).abs().max()) < 5 / math.sqrt(N)
    assert torch.allclose(x.T @ x / N, covariance(problem), atol=7.5 / math.sqrt(N))
    excess = float((x**4).mean()) - 3
    assert excess == pytest.approx(-1.5 * (1 - spread**2) ** 2 / sines, abs=0.1)


@pytest.mark.parametrize("sines", [1, 2])
def test_a_series_without_noise_has_few_frequencies(sines):
    problem = Waves(sines=sines, spread=0.0)
    power = torch.fft.rfft(problem.series(300, Noise.of(1, 300)).double()).abs().square()
    sounds = power > 1e-6 * power.sum(1, keepdim=True)
    assert int(sounds.sum(1).max()) == sines, "one line for each wave"
    assert sounds.any(0).nonzero().flatten().tolist() == list(range(1, problem.fastest + 1))


def test_the_parts_are_independent_and_a_larger_one_begins_with_the_smaller():
    small, large = Waves(train=200, heldout=200).load(), Waves(train=300, heldout=200).load()
    assert torch.equal(small.train.x1, large.train.x1[:200]) and torch.equal(small.heldout.x1, large.heldout.x1)
    assert not torch.equal(small.train.x1, small.heldout.x1)
    assert not torch.equal(small.train.x1, Waves(train=200, heldout=200, data_seed=1).load().train.x1)


def test_frequencies_above_half_the_length_are_an_error():
    with pytest.raises(
        OptionError, match=r"fastest is 16; a series of 32 values has frequencies below 16: lower fastest"
    ):
        Waves(fastest=16)


@pytest.mark.long
def test_found_by_its_name(tmp_path, capsys):
    assert PROBLEMS["waves"] is warmflow.Waves is Waves and problem_of("waves", sines=3) == Waves(sines=3)
    sizes = ["--length", "8", "--fastest", "2", "--train", "300", "--heldout", "300", "--sines", "1"]
    small = ["--updates", "2", "--width", "8", "--depth", "1", "--warm-start.rounds", "1", "--warm-start.block", "300"]
    what = ["--calls", "1,2", "--seeds", "2", "--samples", "200", "--jobs", "1", "--quiet", "--out", str(tmp_path)]
    assert not main(["compare", "waves", *sizes, *small, *what])
    told = json.loads((tmp_path / "config.json").read_text())["asked"]["problem"]
    assert problem_from(told) == Waves(length=8, fastest=2, train=300, heldout=300, sines=1)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["candidates"]["warm-start"]["outcome"] and (tmp_path / "report.html").stat().st_size > 10_000
    capsys.readouterr()
    run = tmp_path / "seeds" / "0" / "warm-start"
    assert not main(["sample", str(run), "-n", "5", "--out", str(tmp_path / "x.npy"), "--quiet"])
    assert np.load(tmp_path / "x.npy").shape == (5, 8)
    assert not main(["compare", "--help"])
    assert "sums of sine waves" in capsys.readouterr().out
