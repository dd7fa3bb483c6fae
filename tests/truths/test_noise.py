"""Counter-based randomness: the stated hash, uniform and independent along every axis, and nothing else remembered."""

import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from warmflow.noise import Noise, mix, permutation

N = 40_000
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def reference_mix(z):
    """splitmix64's finaliser on Python integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def reference(seed, sample, folds, name, position):
    """One uniform, by the module's own words."""
    key = reference_mix((reference_mix((seed + GOLDEN) & MASK) + GOLDEN * sample) & MASK)
    for word in (*folds, name):
        digest = int.from_bytes(hashlib.blake2b(str(word).encode(), digest_size=8).digest(), "little")
        key = reference_mix(key ^ digest)
    bits = reference_mix((key + GOLDEN * (position + 1)) & MASK)
    return ((bits >> 11) + 0.5) * 2.0**-53


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63, 12345678901234567890])
def test_every_draw_is_the_stated_hash(seed):
    noise = Noise.of(seed, 4, first=7).fold("train").fold(3)
    drawn = noise.uniform("t", 2, 3)
    for i, j, k in itertools.product(range(4), range(2), range(3)):
        assert float(drawn[i, j, k]) == reference(seed, 7 + i, ("train", 3), "t", 3 * j + k)


def test_the_finaliser_matches_published_values():
    """The first outputs of splitmix64 seeded with 0 (Steele, Lea, Flood), which are mix(k golden)."""
    words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    for k, word in enumerate(words, 1):
        z = k * GOLDEN & MASK
        signed = z - (1 << 64) if z >> 63 else z
        assert int(mix(torch.tensor([signed]))[0]) & MASK == word == reference_mix(z)


def test_streams_never_change_between_versions():
    """Published seeds stay published: pinned draws."""
    noise = Noise.of(0, 2)
    assert noise.uniform("x", 2).tolist() == [[reference(0, i, (), "x", j) for j in range(2)] for i in range(2)]
    assert torch.allclose(noise.normal("x", 1), torch.special.ndtri(noise.uniform("x", 1)).float())


AXES = {
    "positions": lambda: Noise.of(0, 1).uniform("x", N)[0],
    "samples": lambda: Noise.of(0, N).uniform("x"),
    "far samples": lambda: Noise.of(0, N, first=2**40).uniform("x"),
    "seeds": lambda: torch.stack([Noise.of(s, 1).uniform("x")[0] for s in range(4000)]),
    "names": lambda: torch.stack([Noise.of(0, 1).uniform(f"x{s}")[0] for s in range(4000)]),
    "folds": lambda: torch.stack([Noise.of(0, 1).fold(s).uniform("x")[0] for s in range(4000)]),
    "nested folds": lambda: torch.stack(
        [Noise.of(0, 1).fold(s % 64).fold(s // 64).uniform("x")[0] for s in range(4000)]
    ),
    "diagonal": lambda: Noise.of(3, 200).uniform("x", 200).diagonal(),
}


@pytest.mark.parametrize("axis", AXES)
def test_uniform_along_every_axis(axis):
    u = AXES[axis]().numpy()
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert stats.chisquare(counts).pvalue > 1e-3
    low = np.bincount((u * 2**20).astype(np.int64) % 16, minlength=16)  # bits further down
    assert stats.chisquare(low).pvalue > 1e-3
    assert len(np.unique(u)) == len(u) and u.min() > 0 and u.max() < 1


def neighbours():
    big = Noise.of(0, N)
    x = big.uniform("x", 2)
    yield "positions", x[:, 0], x[:, 1]
    yield "samples", x[:-1, 0], x[1:, 0]
    yield "sample and position", x[:-1, 1], x[1:, 0]
    yield "seeds", x[:, 0], Noise.of(1, N).uniform("x")
    yield "seed and sample", x[1:, 0], Noise.of(1, N - 1).uniform("x")
    yield "names", x[:, 0], big.uniform("y")
    yield "fold and not", x[:, 0], big.fold("x").uniform("x")
    yield "folds", big.fold(0).uniform("x"), big.fold(1).uniform("x")
    yield "fold and name swapped", big.fold("a").uniform("b"), big.fold("b").uniform("a")
    yield "a fold and its own parent's name", big.fold("a").uniform("a"), big.uniform("a")
    yield "uniform and normal of two names", x[:, 0], torch.special.ndtr(big.normal("n", dtype=torch.float64))


@pytest.mark.parametrize(("a", "b"), [pytest.param(a, b, id=n) for n, a, b in neighbours()])
def test_neighbours_are_independent(a, b):
    cells = (a * 16).long() * 16 + (b * 16).long()
    assert stats.chisquare(torch.bincount(cells, minlength=256).numpy()).pvalue > 1e-3
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 4 / math.sqrt(len(a))
    for lag in range(1, 4):
        r = float(torch.corrcoef(torch.stack([a[lag:], a[:-lag]]))[0, 1])
        assert abs(r) < 4 / math.sqrt(len(a))


def test_one_bit_of_the_key_flips_half_of_the_word():
    z = torch.arange(1, 2001)
    for bit in (0, 17, 40, 62):
        flipped = mix(z) ^ mix(z ^ (1 << bit))
        ones = torch.tensor([bin(int(w) & MASK).count("1") for w in flipped]).double()
        assert abs(float(ones.mean()) - 32) < 4 * 4 / math.sqrt(len(z))


def test_normals_are_normal_and_follow_the_uniforms():
    noise = Noise.of(5, N)
    x = noise.normal("x", 3, dtype=torch.float64)
    assert stats.kstest(x.flatten().numpy(), "norm").pvalue > 1e-3
    assert bool(torch.isfinite(x).all()) and noise.normal("x").dtype == torch.float32
    assert torch.allclose(torch.special.ndtr(x), noise.uniform("x", 3), atol=1e-12)
    tails = float((x.abs() > 3).double().mean())
    assert abs(tails - 0.0026998) < 4 * math.sqrt(0.0027 / x.numel())


@pytest.mark.parametrize("high", [1, 2, 7, 10, 257])
def test_integers_are_uniform_below_their_bound(high):
    x = Noise.of(5, N).integers("x", high=high)
    assert x.dtype == torch.int64 and int(x.min()) >= 0 and int(x.max()) == high - 1
    if high > 1:
        assert stats.chisquare(torch.bincount(x, minlength=high).numpy()).pvalue > 1e-3


def test_draws_hang_on_the_sample_and_on_nothing_drawn_before():
    noise, rows = Noise.of(2, 20), torch.tensor([3, 3, 19, 0])
    whole = noise.normal("x", 4)
    assert torch.equal(noise[rows].normal("x", 4), whole[rows])
    assert torch.equal(Noise.of(2, 5, first=10).normal("x", 4), whole[10:15])
    noise.uniform("y", 100)
    assert torch.equal(noise.normal("x", 4), whole)
    assert torch.equal(noise.normal("x", 9)[:, :4], whole), "a longer draw begins with the shorter one"
    assert torch.equal(noise.normal("x", 2, 2).flatten(1), whole)
    assert torch.equal(noise.fold("a")[rows].uniform("x"), noise[rows].fold("a").uniform("x"))
    assert torch.equal(noise.fold(3).key, noise.fold("3").key) and len(noise[rows]) == 4


def test_fold_order_matters_and_folds_do_not_collide():
    noise = Noise.of(0, 1)
    keys = {int(noise.fold(a).fold(b).key[0]) for a in range(60) for b in range(60)}
    assert len(keys) == 3600
    assert len({int(noise.fold(str(k)).key[0]) for k in range(5000)}) == 5000


@pytest.mark.parametrize("n", [0, 1, 2, 997])
def test_permutation_is_one_and_seeds_and_names_give_others(n):
    p = permutation(1, n)
    assert sorted(p.tolist()) == list(range(n))
    if n > 2:
        assert not torch.equal(p, permutation(2, n)) and not torch.equal(p, permutation(1, n, "other"))


def test_permutations_of_three_are_all_equally_likely():
    found = [tuple(permutation(s, 3).tolist()) for s in range(3000)]
    counts = [found.count(p) for p in itertools.permutations(range(3))]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_impossible_numbers_are_errors():
    with pytest.raises(ValueError, match="n is -1"):
        Noise.of(0, -1)
    with pytest.raises(ValueError, match="high is 0"):
        Noise.of(0, 1).integers("x", high=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_uniforms_stay_inside_the_open_interval(dtype, monkeypatch):
    """Rounding to 24 bits or fewer must not give 1 (a logarithm of 1 - u) or 0 (a logarithm of u)."""
    ends = torch.tensor([[0, -1]])  # all bits clear, all bits set: the smallest and the largest word
    monkeypatch.setattr(Noise, "_bits", lambda self, name, shape: ends)
    u = Noise.of(0, 1).uniform("u", 2, dtype=dtype)
    assert u.dtype == dtype and bool((u > 0).all()) and bool((u < 1).all())
    assert bool(torch.isfinite(torch.log(u) + torch.log1p(-u)).all())
