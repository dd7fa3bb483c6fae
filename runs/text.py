"""Text at a small, equal budget: which pairing brings a warm flow how near to the data, and what judges say of its texts.

98 novels in 27 symbols, windows of 64, a trigram draft. One comparison trains the cold flows (uniform tokens, mask) and the
warm flow of the first pairing; the warm flows of the other pairings are judged beside it (``beside``). Last, a table by judges
that read other novels: likelihood under a transformer and a 6-gram, entropy, words, duplicates, a discriminator.

python runs/text.py OUT [SEEDS] [UPDATES] [WINDOWS] [SAMPLES] [JUDGE_UPDATES] [FILE]    resumable

2,500 updates take about 70 minutes of one thread a seed for the six flows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from beside import beside, read_plan

from warmflow import compare
from warmflow.checkpoints import load, load_part
from warmflow.drafts.autoregressive import train_judge
from warmflow.experiments.measure import Alone
from warmflow.metrics.judged import Words, conditional_entropy, discriminator, duplicates, likelihood, valid_words
from warmflow.networks.causal import log_chances
from warmflow.noise import permutation
from warmflow.sources import NGram

NOVELS = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "novels98" / "novels98.tar.xz"
PAIRINGS = ("rewritten", "maximal", "hamming-draft", "independent")
COLD = ("cold", "cold_masked")
COLD_STEPS, WARM_STEPS = (16, 64), (4, 16)


def judges(out: Path, n: int, updates: int) -> None:
    """The table of judges: seed 0 of every flow."""
    first = out / PAIRINGS[0]
    plan = read_plan(first)
    stream, size = plan.data.streams["judge"], len(plan.data.codec)
    windows = stream[: len(stream) // 64 * 64].reshape(-1, 64)
    network = train_judge(
        windows[:100_000], size, steps=updates, batch=64, seed=0, folder=out / "judge", progress="judge"
    )
    ngram = NGram.fit(stream, vocabulary=size, order=6, length=64)
    words = Words.within(stream)
    held = plan.data.heldout.x1  # in the order of the text: neighbours are of one novel
    real, other = held[permutation(0, len(held), "judges")[: 2 * n]].split(n)
    draft = Alone(load_part(first / "seeds" / "0", "draft"), None, True)
    texts = {"real": real, "draft": draft(n, steps=0, seed=0)}
    runs = {name: (first / "seeds" / "0" / name, COLD_STEPS) for name in COLD}
    runs |= {pairing: (out / pairing / "seeds" / "0" / "warm", WARM_STEPS) for pairing in PAIRINGS}
    for name, (run, steps) in runs.items():
        sampler = load(run)
        texts |= {f"{name}, {k} steps": sampler(n, seed=0, steps=k, batch=500).x for k in steps}
    print(
        f"\n{'':26s} nats: transformer  6-gram | entropy H(x2|x1)  valid words  duplicated 12-grams | discriminator's AUC"
    )
    for name, x in texts.items():
        nats = -float(log_chances(network, x).mean())
        print(f"{name:26s} {nats:17.3f} {likelihood(ngram, x, size).nats:7.3f} | {conditional_entropy(x, size)[0]:16.3f} "
              f"{valid_words(words, x):12.3f} {duplicates(x):12.4f} | {discriminator(other, x):12.3f}")  # fmt: skip
    for name, x in texts.items():
        print(f"\n{name}", *(f"    {plan.data.codec.decode(row)}" for row in x[:3]), sep="\n")


def main(
    out: str, seeds: str = "2", updates: str = "2500", windows: str = "100000", samples: str = "2000", judge: str = "1500",
    file: str = str(NOVELS),
) -> None:  # fmt: skip
    root, jobs = Path(out), os.cpu_count() or 1
    settings = {"updates": int(updates), "most": int(windows), "samples": int(samples), "rounds": 1}
    report = compare(
        "text.file",
        path=file,
        pairing=PAIRINGS[0],
        seeds=range(int(seeds)),
        out=root / PAIRINGS[0],
        jobs=jobs,
        **settings,
    )
    told = {PAIRINGS[0]: report.verdict.claim}
    for pairing in PAIRINGS[1:]:
        told[pairing] = beside(root / PAIRINGS[0], root / pairing, pairing=pairing, jobs=jobs).verdict.claim
    for pairing, claim in told.items():
        print(f"{pairing}: {claim}")
    judges(root, min(1000, int(samples)), int(judge))


if __name__ == "__main__":
    main(*sys.argv[1:])
