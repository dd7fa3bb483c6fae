"""Pairing drafts with images: a whole set by passes over blocks, and a minibatch beside torchcfm.

    python benchmarks/pairing.py set [--rows 60000] [--block 512] [--passes 5] [--exact 16384] [--principal 0]
    python benchmarks/pairing.py minibatch [--runs 20] [--width 784]

``set``: Fashion-MNIST's training images (60,000 of 784 numbers), each paired with a draft of a Gaussian mixture by ``prepare``,
across classes. Prints seconds (draws of the drafts included), peak memory, and the mean cost |draft - image|^2. Then the first
``exact`` rows by the same passes and by one exact assignment of the same drafts: the ratio of their costs. The aims: 60,000 in
at most 5 minutes and 2 GB, every image used once, within 5 % of the exact cost. The exact matrix takes exact^2 x 12 bytes and is
formed last, so that the peak before it is that of the passes.

``minibatch``: starts and data of 256 and 1,024 rows, paired by ``assign`` and by torchcfm's OTPlanSampler, whose pairs are drawn
from the exact plan, with replacement. One process, runs alternate; prints the quartiles of the ratio of times, and the share of
the batch's data that each uses.

    pip install torchcfm
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Batch, Source
from warmflow.couplings import Assignment, Principal, prepare
from warmflow.couplings.assignment import assign
from warmflow.data.idx import fashion
from warmflow.noise import Noise
from warmflow.sources import GaussianMixture

SETTINGS = {
    "set": (("rows", 60_000), ("block", 512), ("passes", 5), ("exact", 16_384), ("principal", 0)),
    "minibatch": (("runs", 20), ("width", 784)),
}


def peak() -> float:
    """The most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def images(rows: int) -> Tensor:
    """The first rows of Fashion-MNIST's 60,000 training images."""
    data = fashion()
    assert data.validation is not None
    x = torch.cat([data.train.x1, data.validation.x1])
    if rows > len(x):
        raise SystemExit(f"--rows is {rows}: there are {len(x)} images")
    return x[:rows].clone()


def paired(x: Tensor, source: Source, coupling: Assignment, block: int, passes: int) -> float:
    """Pairs x, prints what it took, returns the mean cost a pair."""
    began, worked = time.perf_counter(), time.process_time()
    pairs = prepare(coupling, Batch(x, {}, torch.arange(len(x))), source, block=block, passes=passes)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    assert pairs.start is not None and pairs.index is not None
    assert torch.equal(pairs.index.sort().values, torch.arange(len(x))), "an image is used twice, or never"
    at_once = 4096
    rows = zip(pairs.start.x0.split(at_once), pairs.x1.split(at_once), strict=True)
    cost = sum(float((a.double() - b.double()).square().sum()) for a, b in rows) / len(x)
    print(
        f"{len(x):6d} rows, blocks of {block}, {passes} passes: {seconds:7.1f} s ({work:.1f} s of one core), "
        f"peak {peak():.2f} GB, mean cost {cost:.3f}",
        flush=True,
    )
    return cost


def whole_set(a: argparse.Namespace) -> None:
    x = images(a.rows)
    source = GaussianMixture.fit(x[:5000], components=30)
    print(f"{len(x)} images of {x[0].numel()} numbers, {torch.get_num_threads()} threads, peak so far {peak():.2f} GB")
    coupling = Assignment(space=Principal.fit(x, dimensions=a.principal) if a.principal else None)
    large = paired(x, source, coupling, a.block, a.passes)
    few = min(a.exact, a.rows)
    if few:
        ours = paired(x[:few], source, coupling, a.block, a.passes)
        best = paired(x[:few], source, Assignment(), few, 0)
        print(
            f"passes over exact, at {few} rows: {ours / best:.4f}; {a.rows} rows over exact at {few}: {large / best:.4f}"
        )


def minibatch(a: argparse.Namespace) -> None:
    try:
        from torchcfm.optimal_transport import OTPlanSampler
    except ImportError:
        print("skipped: torchcfm is not installed (pip install torchcfm)")
        return
    sampler = OTPlanSampler(method="exact")
    for n in (256, 1024):
        seconds: dict[str, list[float]] = {"ours": [], "torchcfm": []}
        used: dict[str, list[float]] = {"ours": [], "torchcfm": []}
        for run in range(a.runs + 1):
            noise = Noise.of(run, n)
            x0, x1 = noise.normal("x0", a.width), noise.normal("x1", a.width).tanh()
            for name in ("ours", "torchcfm") if run % 2 else ("torchcfm", "ours"):
                began = time.perf_counter()
                data = (x0[assign(x0, x1)], x1)[1] if name == "ours" else sampler.sample_plan(x0, x1)[1]
                seconds[name].append(time.perf_counter() - began)
                used[name].append(len(data.unique(dim=0)) / n)
        ratio = np.array(seconds["torchcfm"][1:]) / np.array(seconds["ours"][1:])  # the first run warms up
        low, median, high = np.quantile(ratio, [0.25, 0.5, 0.75])
        print(f"batch {n} x {a.width}, {a.runs} runs, {torch.get_num_threads()} threads")
        for name in seconds:
            print(
                f"  {name:9s} {1e3 * np.median(seconds[name][1:]):8.1f} ms, uses {np.mean(used[name]):.1%} of the data"
            )
        print(f"  ours is {median:.2f} times faster  [{low:.2f}, {high:.2f}]")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    for part, settings in SETTINGS.items():
        one = parts.add_parser(part)
        for name, default in settings:
            one.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    whole_set(a) if a.part == "set" else minibatch(a)
    return 0


if __name__ == "__main__":
    sys.exit(main())
