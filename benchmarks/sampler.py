"""What the sampler costs beyond the network: ours beside torchdiffeq's odeint, and beside the bare forward calls.

One process, the same network, start and number of Euler steps for all three; blocks alternate so that the machine's moods
fall on all alike. Prints the medians of the ratios and their quartiles. The aim: at most 1.05.

    python benchmarks/sampler.py [--steps 20] [--batch 64] [--width 256] [--blocks 40]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torchdiffeq import odeint

from warmflow.contracts import Start
from warmflow.fields import NetworkField
from warmflow.networks import MLP, seeded
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("steps", 20), ("batch", 64), ("width", 256), ("depth", 3), ("blocks", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    shape = (1, 8, 8)
    network = seeded(0, lambda: MLP(shape, width=a.width, depth=a.depth)).eval()
    sampler = Sampler(StandardNormal(shape), NetworkField(network, LinearPath()), Euler(), a.steps)
    start = Start(torch.randn(a.batch, *shape, generator=torch.Generator().manual_seed(0)))
    times = torch.linspace(0, 1, a.steps + 1)
    at = torch.full((a.batch,), 0.5)

    def ours() -> torch.Tensor:
        return sampler(start=start).x

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        return odeint(lambda t, x: network(x, t.expand(a.batch)), start.x0, times, method="euler")[-1]

    @torch.no_grad()
    def bare() -> torch.Tensor:
        for _ in range(a.steps):
            network(start.x0, at)
        return start.x0

    apart = float((ours() - theirs()).abs().max())
    seconds: dict[str, list[float]] = {"ours": [], "torchdiffeq": [], "bare": []}
    for _ in range(a.blocks):
        for name, function in (("ours", ours), ("torchdiffeq", theirs), ("bare", bare)):
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    base = np.array(seconds["bare"])
    print(
        f"batch {a.batch}, {a.steps} Euler steps, width {a.width}, {torch.get_num_threads()} threads; results apart {apart:.1e}"
    )
    for name in ("ours", "torchdiffeq"):
        ratio = np.array(seconds[name]) / base
        low, median, high = np.quantile(ratio, [0.25, 0.5, 0.75])
        print(f"{name:12s} over bare forward: {median:.3f}  [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
