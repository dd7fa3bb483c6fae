"""Probabilistic PCA as a draft: the closed form of its maximum likelihood, its moments, found by its name."""

import math

import pytest
import torch

import warmflow
from warmflow.checkpoints import load
from warmflow.cli import main
from warmflow.drafts import DRAFTS, draft_of
from warmflow.drafts.probabilistic_pca import ProbabilisticPCA, fitted_pca
from warmflow.files import read_json
from warmflow.noise import Noise
from warmflow.options import OptionError
from warmflow.problems.digits import Digits

EIGENVALUES = torch.tensor([9.0, 4.0, 1.5, 0.5, 0.3, 0.1]).double().sqrt()
TURN = torch.linalg.qr(Noise.of(1, 6).normal("turn", 6, dtype=torch.float64))[0]
X = (Noise.of(0, 400).normal("x", 6, dtype=torch.float64) * EIGENVALUES) @ TURN.T + torch.arange(6)


def covariance(source):
    """Of the source, from its parameters."""
    low = source.source
    w = low.axes.T @ low.factors[0]
    return w @ w.T + source.std**2 * torch.eye(len(w), dtype=torch.float64)


def log_likelihood(x, cov):
    """The mean log-density of rows under N(their mean, cov), without its constant."""
    centred = x - x.mean(0)
    return float(-0.5 * (torch.logdet(cov) + (centred @ torch.linalg.inv(cov) * centred).sum(1).mean()))


@pytest.mark.parametrize("rows", [400, 5])
@pytest.mark.parametrize("q", [1, 3])
def test_the_covariance_is_the_datas_in_q_directions_and_round_in_the_others(q, rows):
    """Also of fewer rows than numbers."""
    x = X[:rows]
    own = torch.cov(x.T, correction=0)
    values, vectors = torch.linalg.eigh(own)
    found = covariance(fitted_pca(x.reshape(rows, 2, 3), q))
    top, axes = values[-q:], vectors[:, -q:]
    assert torch.allclose(found @ axes, axes * top, atol=1e-10)
    rest = torch.linalg.eigvalsh(found)[: 6 - q]
    assert torch.allclose(rest, values[: 6 - q].mean().expand(6 - q), atol=1e-10)
    assert float(found.trace()) == pytest.approx(float(own.trace()))


@pytest.mark.parametrize("q", [1, 2, 4])
def test_it_maximises_the_likelihood(q):
    """No covariance of the same form near it is better, and more directions are never worse; all are the full Gaussian."""
    source = fitted_pca(X, q)
    best = log_likelihood(X, covariance(source))
    w, s2 = source.source.axes.T @ source.source.factors[0], source.std**2
    eye = torch.eye(6, dtype=torch.float64)
    for k in range(20):
        other = w + 0.05 * Noise.of(k, 6).normal("w", q, dtype=torch.float64)
        assert log_likelihood(X, other @ other.T + s2 * eye) < best
    for factor in (0.9, 1.1):
        assert log_likelihood(X, w @ w.T + factor * s2 * eye) < best
    full = log_likelihood(X, torch.cov(X.T, correction=0))
    assert best < log_likelihood(X, covariance(fitted_pca(X, q + 1))) <= full + 1e-12
    assert log_likelihood(X, covariance(fitted_pca(X, 5))) == pytest.approx(full, abs=1e-10)


def test_its_samples_have_these_moments():
    n, source = 40_000, fitted_pca(X.reshape(-1, 2, 3).float(), 2)
    x = source.draw(n, noise=Noise.of(3, n)).x0
    assert x.shape == (n, 2, 3) and x.dtype == torch.float32
    flat, cov = x.flatten(1).double(), covariance(source)
    assert torch.allclose(flat.mean(0), X.mean(0), atol=5 * math.sqrt(float(cov.diagonal().max()) / n))
    assert torch.allclose(torch.cov(flat.T), cov, atol=0.2)


def test_options_that_are_impossible_say_why():
    setup = Digits().setup()
    assert ProbabilisticPCA().fits(setup) == "" and ProbabilisticPCA(dimensions=63).fits(setup) == ""
    assert (
        ProbabilisticPCA(dimensions=64).fits(setup)
        == "dimensions is 64; of samples of 64 numbers it must be at most 63"
    )
    with pytest.raises(OptionError, match="dimensions is 0; it must be at least 1"):
        ProbabilisticPCA(dimensions=0)


@pytest.mark.long
def test_found_by_its_name(tmp_path, capsys):
    assert DRAFTS["probabilistic-pca"] is warmflow.ProbabilisticPCA is ProbabilisticPCA
    assert draft_of("probabilistic-pca") == ProbabilisticPCA()
    asked = ["--warm-start.draft", "probabilistic-pca", "--probabilistic-pca.dimensions", "8"]
    small = ["--warm-start.rounds", "1", "--warm-start.passes", "0", "--updates", "2", "--width", "8", "--depth", "1"]
    assert not main(["train", "digits", *asked, *small, "--quiet", "--out", str(tmp_path)])
    told = read_json(tmp_path / "config.json")["asked"]["method"]["draft"]
    assert told == {"class": "ProbabilisticPCA", "dimensions": 8}
    assert load(tmp_path)(3, steps=1).x.shape == (3, 1, 8, 8)
    capsys.readouterr()
    assert not main(["train", "digits", *asked[:2], "--help"])
    assert "Number of principal components" in capsys.readouterr().out
