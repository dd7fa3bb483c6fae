"""Samples that answer an input: closed forms on Gaussians, and three wrong samplers that spread over skill lets pass or not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from warmflow.metrics.conditional import (
    PerInput,
    Score,
    consistency,
    coverage,
    crps,
    energy_score,
    joint_features,
    joint_scales,
    rank_deviation,
    ranks,
)
from warmflow.metrics.mmd import MMD, median_distance, mmd_for
from warmflow.metrics.resampled import ResampledMetric, resampling_counts
from warmflow.metrics.restoration import recovered_variance

N, D, K, SIGMA, BIAS = 4_000, 16, 4, 0.6, 0.6
SAMPLERS = ("posterior", "ignores its input", "biased and over-dispersed", "regression")


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def problem(seed: int = 0, n: int = N) -> tuple[Tensor, Tensor]:
    """Inputs c ~ N(0, I) and truths y ~ N(c, SIGMA^2 I): the posterior is known."""
    inputs = normal(seed, n, D)
    return inputs, inputs + SIGMA * normal(seed + 1, n, D)


def sampled(name: str, inputs: Tensor, seed: int = 10, k: int = K) -> Tensor:
    noise = normal(seed, k, *inputs.shape)
    if name == "posterior":
        return inputs + SIGMA * noise
    if name == "ignores its input":
        return math.sqrt(1 + SIGMA**2) * noise
    if name == "biased and over-dispersed":
        return inputs + BIAS + math.sqrt(SIGMA**2 + BIAS**2) * noise
    return inputs.expand(k, *inputs.shape).clone()


def folded(bias: float, sd: float) -> float:
    """E |N(bias, sd^2)|."""
    z = bias / sd
    return sd * math.sqrt(2 / math.pi) * math.exp(-(z**2) / 2) + bias * math.erf(z / math.sqrt(2))


def expected_crps(name: str) -> float:
    """E |X - Y| - E |X - X'| / 2 for normal X and Y; the last is s / sqrt(pi) for a spread s."""
    wide, off = math.sqrt(1 + SIGMA**2), math.sqrt(SIGMA**2 + BIAS**2)
    return {
        "posterior": folded(0, SIGMA * math.sqrt(2)) - SIGMA / math.sqrt(math.pi),
        "ignores its input": folded(0, wide * math.sqrt(2)) - wide / math.sqrt(math.pi),
        "biased and over-dispersed": folded(BIAS, math.hypot(SIGMA, off)) - off / math.sqrt(math.pi),
        "regression": folded(0, SIGMA),
    }[name]


def expected_energy(name: str) -> float:
    """The same with E |N(0, v I_d)| = sqrt(2 v) Gamma((d + 1) / 2) / Gamma(d / 2), over sqrt(d)."""
    mean = math.sqrt(2) * math.exp(math.lgamma((D + 1) / 2) - math.lgamma(D / 2)) / math.sqrt(D)
    wide = math.sqrt(1 + SIGMA**2)
    return (
        mean * {"posterior": SIGMA / math.sqrt(2), "ignores its input": wide / math.sqrt(2), "regression": SIGMA}[name]
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_crps_is_its_closed_form(name: str) -> None:
    inputs, truth = problem()
    assert float(crps(sampled(name, inputs), truth).mean()) == pytest.approx(expected_crps(name), rel=0.01)


@pytest.mark.parametrize("name", ["posterior", "ignores its input", "regression"])
def test_energy_score_is_its_closed_form(name: str) -> None:
    inputs, truth = problem()
    assert float(energy_score(sampled(name, inputs), truth).mean()) == pytest.approx(expected_energy(name), rel=0.01)


def test_crps_of_one_gaussian_forecast_is_known() -> None:
    """CRPS(N(0, 1), y) = y (2 Phi(y) - 1) + 2 phi(y) - 1 / sqrt(pi) (Gneiting and Raftery 2007), at every y by itself."""
    y = torch.tensor([-2.0, -0.3, 0.0, 1.0], dtype=torch.float64)
    draws = normal(3, 20_000, 1).expand(20_000, 4)[..., None]
    phi = (-y.square() / 2).exp() / math.sqrt(2 * math.pi)
    exact = y * torch.erf(y / math.sqrt(2)) + 2 * phi - 1 / math.sqrt(math.pi)
    np.testing.assert_allclose(crps(draws, y[:, None]).numpy(), exact.numpy(), atol=0.015)


def test_scores_are_their_definitions() -> None:
    draws, truth = normal(0, 5, 3, 2, 2), normal(1, 3, 2, 2)
    for i in range(3):
        x, y = [draws[k, i].flatten() for k in range(5)], truth[i].flatten()
        pairs = list(itertools.permutations(x, 2))
        energy = np.mean([float((a - y).norm()) for a in x]) - np.mean([float((a - b).norm()) for a, b in pairs]) / 2
        assert float(energy_score(draws, truth)[i]) == pytest.approx(energy / 2, abs=1e-14)
        one = [float((a - y).abs().mean()) for a in x]
        two = [float((a - b).abs().mean()) for a, b in pairs]
        assert float(crps(draws, truth)[i]) == pytest.approx(np.mean(one) - np.mean(two) / 2, abs=1e-14)


@pytest.mark.parametrize("score", [energy_score, crps])
def test_scores_do_not_depend_on_the_number_of_draws(score: PerInput) -> None:
    """Over every sequence of draws from three points, K = 2 and K = 4 have one mean: the fair estimate is unbiased."""
    points, truth = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 3.0]], dtype=torch.float64), torch.zeros(1, 2)
    means = []
    for k in (2, 4):
        rows = torch.tensor(list(itertools.product(range(3), repeat=k)))
        p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)[rows].prod(1)
        means.append(float(p @ score(points[rows].transpose(0, 1), truth.expand(len(rows), 2))))
    assert means[0] == pytest.approx(means[1], abs=1e-14)


@pytest.mark.parametrize("name", SAMPLERS[1:])
@pytest.mark.parametrize("score", [energy_score, crps])
def test_wrong_samplers_are_worse_by_a_proper_score(score: PerInput, name: str) -> None:
    """And the replicates of the difference leave no doubt: 300 inputs, four draws each."""
    inputs, truth = problem(20, 300)
    metric, counts = Score("score", score), resampling_counts(300, 200, 0)
    reference = metric.reference(truth, counts)
    (right, right_r), (wrong, wrong_r) = (metric.against(sampled(m, inputs), reference) for m in (SAMPLERS[0], name))
    assert wrong > right and float((wrong_r - right_r).min()) > 0


def test_spread_over_skill_lets_two_of_them_pass() -> None:
    """The fault of version 1, and the reason why the ratio decides nothing."""
    inputs, truth = problem()
    found = [recovered_variance(sampled(name, inputs), truth) for name in SAMPLERS]
    assert found == pytest.approx([1, 1, 1, 0], abs=0.02)


def test_random_digits_as_answers_pass_spread_over_skill_only() -> None:
    """Draws from the data set that ignore the input: 1.01 there, and a far worse score than digits of the truth's class."""
    data = load_digits()
    x, label = torch.from_numpy(data.data / 8 - 1), torch.from_numpy(data.target)
    rng = np.random.default_rng(0)
    order = torch.from_numpy(rng.permutation(len(x)))
    truth, rest, kind = x[order[:200]], x[order[200:]], label[order[200:]]
    random = torch.stack([rest[torch.from_numpy(rng.choice(len(rest), 200, replace=False))] for _ in range(4)])
    chosen = [rng.choice(torch.nonzero(kind == c)[:, 0].numpy(), 4) for c in label[order[:200]]]
    same = torch.stack([rest[torch.from_numpy(rows)] for rows in np.stack(chosen).T])
    assert recovered_variance(random, truth) == pytest.approx(1, abs=0.05)
    worse = energy_score(random, truth) - energy_score(same, truth)
    assert float(worse.mean()) > 10 * float(worse.std()) / 200**0.5


def joint(draws: Tensor, inputs: Tensor, metric: MMD, scales: tuple[float, float], real: Tensor) -> float:
    return metric.distance(joint_features(inputs, draws[0], *scales), real)


def test_joint_mmd_sees_all_three() -> None:
    """On pairs; a regression is seen because its outputs vary less. On outputs alone the sampler that ignores passes."""
    inputs, truth = problem(30, 1_500)
    scales = joint_scales(inputs, truth)
    real_inputs, real_truth = problem(40, 1_500)
    real = joint_features(real_inputs, real_truth, *scales)
    metric = MMD("pairs", median_distance(joint_features(inputs, truth, *scales)))
    found = [joint(sampled(name, inputs), inputs, metric, scales, real) for name in SAMPLERS]
    noise = [
        joint(sampled("posterior", c := problem(50 + i, 1_500)[0], 60 + i), c, metric, scales, real) for i in range(5)
    ]
    limit = max(abs(d) for d in [found[0], *noise])
    assert all(d > 5 * limit for d in found[1:]), (found, noise)
    alone = mmd_for(truth)
    assert alone.distance(sampled("ignores its input", inputs)[0], real_truth) < 5 * limit


def test_scales_let_both_halves_of_a_pair_count() -> None:
    """Outputs in a unit a hundred times larger: unscaled, an ignored input is not seen; scaled, the unit changes nothing."""
    inputs, truth = problem(70, 800)
    outputs, wrong = 100 * truth, 100 * sampled("ignores its input", inputs)[0]
    scales = joint_scales(inputs, outputs)
    right, off = (joint_features(inputs, y, *scales) for y in (outputs, wrong))
    torch.testing.assert_close(right, joint_features(inputs, truth, *joint_scales(inputs, truth)))
    plain, plain_off = (joint_features(inputs, y, 1.0, 1.0) for y in (outputs, wrong))
    assert mmd_for(right).distance(off, right) > 5 * abs(mmd_for(plain).distance(plain_off, plain))


def test_coverage_of_the_posterior_is_its_level_at_every_number_of_draws() -> None:
    inputs, truth = problem(80, 2_000)
    for k, level in itertools.product((2, 3, 4, 9, 30), (0.1, 0.5, 0.9)):
        draws = sampled("posterior", inputs, 90 + k, k)
        assert float(coverage(draws, truth, level).mean()) == pytest.approx(level, abs=0.015), (k, level)
    assert float(coverage(sampled("regression", inputs), truth).mean()) < 0.8
    few = sampled("regression", inputs, 0, 30) + 0.1 * normal(99, 30, *inputs.shape)
    assert float(coverage(few, truth).mean()) < 0.3


def test_coverage_counts_places_exactly() -> None:
    """K = 4: places 0 .. 4, of which [0.25, 4.75] is the central 90 %: the truth counts 3/4 beyond the draws, else 1."""
    draws = torch.arange(1.0, 5.0)[:, None, None].expand(4, 6, 1)
    truth = torch.tensor([[0.0], [1.5], [2.5], [3.5], [9.0], [4.0]])
    assert coverage(draws, truth).tolist() == pytest.approx([0.75, 1, 1, 1, 0.75, 0.875])
    below, equal = ranks(draws, truth)
    assert below[:, 0].tolist() == [0, 1, 2, 3, 4, 3] and equal[:, 0].tolist() == [0, 0, 0, 0, 0, 1]


def test_coverage_and_ranks_of_discrete_posteriors_are_exact() -> None:
    """Truth and draws from three values, over every combination: ties leave the rank uniform and the coverage at its level."""
    rows = torch.tensor(list(itertools.product(range(3), repeat=4)))
    draws, truth = rows[:, 1:].T[..., None].double(), rows[:, :1].double()
    np.testing.assert_allclose(rank_deviation(draws, truth).numpy(), 0, atol=1e-14)
    for level in (0.2, 0.6, 0.9):
        assert float(coverage(draws, truth, level).mean()) == pytest.approx(level, abs=1e-14)


def test_rank_histogram_shows_what_is_wrong() -> None:
    inputs, truth = problem(100)
    assert float(rank_deviation(sampled("posterior", inputs), truth).abs().max()) < 0.01
    narrow = rank_deviation(inputs + 0.5 * SIGMA * normal(3, K, N, D), truth)
    wide = rank_deviation(inputs + 2 * SIGMA * normal(3, K, N, D), truth)
    biased = rank_deviation(inputs - BIAS + SIGMA * normal(3, K, N, D), truth)
    assert float(narrow[0]) > 0.05 and float(narrow[-1]) > 0.05 and float(narrow[K // 2]) < 0
    assert float(wide[0]) < -0.05 and float(wide[-1]) < -0.05 and float(wide[K // 2]) > 0
    assert float(biased[-1]) > 0.2 and float(biased[0]) < 0
    assert float(rank_deviation(sampled("ignores its input", inputs), truth).abs().max()) < 0.01, (
        "calibrated, and useless"
    )


def test_consistency_of_the_truth_is_the_inputs_noise() -> None:
    """Inputs are means of pairs of coordinates plus noise 0.1: the truth has 0.1, draws off by 1 everywhere sqrt(1.01)."""
    truth = normal(0, 2_000, 8)

    def halved(x: Tensor) -> Tensor:
        return x.reshape(len(x), 4, 2).mean(2)

    inputs = halved(truth) + 0.1 * normal(1, 2_000, 4)
    found = consistency(torch.stack([truth + 1, truth - 1]), truth, inputs, halved)
    assert float(found.truth.square().mean().sqrt()) == pytest.approx(0.1, rel=0.03)
    assert float(found.draws.square().mean().sqrt()) == pytest.approx(math.sqrt(1.01), rel=0.01)
    exact = consistency(torch.stack([truth, truth]), truth, halved(truth), halved)
    assert not exact.truth.any() and not exact.draws.any()


def test_a_score_has_no_zero_and_its_replicates_are_those_of_the_resampled_inputs() -> None:
    assert issubclass(MMD, ResampledMetric) and MMD.has_zero and not Score.has_zero
    inputs, truth = problem(110, 40)
    draws, counts = sampled("posterior", inputs), resampling_counts(40, 6, 0)
    score = Score("energy", energy_score)
    whole, replicates = score.against(draws, score.reference(truth, counts))
    assert whole > 0.2, "positive at the posterior itself"
    for count, replicate in zip(counts, replicates, strict=True):
        rows = torch.arange(40).repeat_interleave(count.long())
        assert float(replicate) == pytest.approx(float(energy_score(draws[:, rows], truth[rows]).mean()), abs=1e-12)


def test_blocks_change_nothing() -> None:
    inputs, truth = problem(120, 600)
    draws = sampled("posterior", inputs)
    for score in (energy_score, crps):
        parts = [score(draws[:, i : i + 7], truth[i : i + 7]) for i in range(0, 600, 7)]
        torch.testing.assert_close(score(draws, truth), torch.cat(parts), rtol=0, atol=1e-13)


def test_errors_name_the_argument() -> None:
    inputs, truth = problem(0, 10)
    draws = sampled("posterior", inputs)
    with pytest.raises(ValueError, match="at least two draws"):
        energy_score(draws[:1], truth)
    with pytest.raises(ValueError, match="K draws of every input"):
        crps(draws, truth[:5])
    with pytest.raises(ValueError, match="scale_inputs is 0"):
        joint_features(inputs, truth, 0.0, 1.0)
    with pytest.raises(ValueError, match="one output for each input"):
        joint_features(inputs, truth[:5], 1.0, 1.0)
    with pytest.raises(ValueError, match="level is 1"):
        coverage(draws, truth, 1.0)
    with pytest.raises(ValueError, match="counts are"):
        Score("energy", energy_score).reference(truth, torch.ones(3, 9))
    with pytest.raises(ValueError, match="operator gives"):
        consistency(draws, truth, inputs[:, :4], lambda x: x)
