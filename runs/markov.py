"""Where a warm start helps when nothing is learned: exact posteriors of a Markov chain, drafts through a known kernel.

Data: a stationary chain of 8 tokens, windows of 32. Cold from uniform tokens and from the mask; warm from drafts in which a
share of the tokens was replaced by uniform ones (data first: each draft belongs to its clean text). All fields are exact, so
what is left is the error of drawing positions together. Printed: the k-gram Jensen-Shannon divergence (nats x 1000) of
20,000 windows from the exact law, less that of as many real windows, by number of steps; and the calls a window.
About ten minutes on one core.

python runs/markov.py [WINDOWS] [SHARPNESS]
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Field, Source
from warmflow.fields import ExactMarkov
from warmflow.noise import Noise
from warmflow.paths import MixturePath
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.sources import Corrupted, MarkovChain, MaskTokens, UniformTokens, random_chain, uniform_kernel

V, L = 8, 32
KS = (2, 4)
STEPS = (1, 2, 4, 8, 16, 32, 64)


def exact_law(chain: MarkovChain, k: int) -> np.ndarray:
    """The chances (V^k,) of k-grams of the stationary chain."""
    law = chain.initial.double()
    for _ in range(k - 1):
        law = (law[:, None] * chain.transition.double().repeat(len(law) // V, 1)).flatten()
    return law.numpy()


def found_law(x: Tensor, k: int) -> np.ndarray:
    """The shares (V^k,) of the k-grams of windows x (n, L)."""
    code = sum(x[:, i : x.shape[1] - k + 1 + i] * V ** (k - 1 - i) for i in range(k))
    assert isinstance(code, Tensor)
    counts = torch.bincount(code.flatten(), minlength=V**k).double()
    return (counts / counts.sum()).numpy()


def js(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence in nats."""
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        half = [np.where(a > 0, a * np.log(a / m), 0).sum() for a in (p, q)]
    return float(sum(half) / 2)


def main(windows: str = "20000", sharpness: str = "2.0") -> None:
    n = int(windows)
    chain = random_chain(V, L, seed=0, sharpness=float(sharpness))
    law = {k: exact_law(chain, k) for k in KS}
    real = chain.draw(n, noise=Noise.of(1, n)).x0
    floor = {k: js(found_law(real, k), law[k]) for k in KS}
    print(f"chain of {V} tokens, windows of {L}, {n} windows; k-gram JS x 1000 less the real windows' own", end=" ")
    print("(" + ", ".join(f"k = {k}: {1e3 * floor[k]:.3f}" for k in KS) + ")")
    flat = torch.full((V, V), 1 / V, dtype=torch.float64)
    masked = torch.zeros(V, V + 1, dtype=torch.float64)
    masked[:, V] = 1
    arms: dict[str, tuple[Source, Field]] = {
        "cold, uniform": (UniformTokens((L,), V), ExactMarkov(chain.initial, chain.transition, flat, MixturePath())),
        "cold, masked": (
            MaskTokens((L,), V),
            ExactMarkov(chain.initial, chain.transition, masked, MixturePath(mask=V)),
        ),
    }
    for rate in (0.2, 0.5, 0.8):
        kernel = uniform_kernel(V, rate)
        arms[f"warm, {rate:.0%} replaced"] = (
            Corrupted(chain, kernel), ExactMarkov(chain.initial, chain.transition, kernel, MixturePath(0.8))
        )  # fmt: skip
    head = "".join(f"{s:>18d}" for s in STEPS)
    print(f"{'steps':20s}{'draft':>16s}{head}")
    for name, (source, field) in arms.items():
        start = source.draw(n, noise=Noise.of(2, n)).x0
        draft = ""
        if "mask" not in name:
            draft = " / ".join(f"{1e3 * (js(found_law(start, k), law[k]) - floor[k]):.1f}" for k in KS)
        line = f"{name:20s}{draft:>16s}"
        calls = f"{'  calls':36s}"
        for steps in STEPS:
            drawn = Sampler(source, field, Jump(), steps)(n, seed=3, batch=5000)
            cell = " / ".join(f"{1e3 * (js(found_law(drawn.x, k), law[k]) - floor[k]):.2f}" for k in KS)
            line, calls = line + f"{cell:>18s}", calls + f"{float(drawn.calls.cpu().double().mean()):18.1f}"
        print(line, calls, sep="\n", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
