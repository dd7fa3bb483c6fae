"""Text at a small, equal budget: which pairing brings a warm flow how near to the data, and what judges say of its texts.

98 novels in 27 symbols, windows of 64, a trigram draft. One comparison trains the cold flows (uniform tokens, mask) and a warm
flow of each pairing. Then a table by judges that read other novels: likelihood under a transformer and a 6-gram, entropy, words,
duplicates, a discriminator.

python runs/text.py OUT [SEEDS] [UPDATES] [WINDOWS] [SAMPLES] [JUDGE_UPDATES] [FILE]    a run that was cut off goes on

2,500 updates take about 70 minutes of one thread a seed for the six flows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from finished import Finished

from warmflow import compare
from warmflow.drafts.autoregressive import train_judge
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Alone
from warmflow.methods.warm_start import WarmStart
from warmflow.metrics.judged import Words, conditional_entropy, discriminator, duplicates, likelihood, valid_words
from warmflow.networks.causal import log_chances
from warmflow.noise import permutation
from warmflow.problems.text import Text
from warmflow.sources import NGram

NOVELS = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "novels98" / "novels98.tar.xz"
PAIRINGS = ("rewritten", "maximal", "hamming-draft", "independent")
COLD_STEPS, WARM_STEPS = (16, 64), (4, 16)


def judges(found: Finished, n: int, updates: int) -> None:
    """The table of judges: the first seed of every flow."""
    work, seed = found.work, min(found.seeds)
    setup = work.setup()
    data, size = setup.data, setup.vocabulary
    stream = data.streams["judge"]
    windows = stream[: len(stream) // 64 * 64].reshape(-1, 64)
    network = train_judge(
        windows[:100_000], size, steps=updates, batch=64, seed=0, folder=work.root / "judge", progress="judge"
    )
    ngram = NGram.fit(stream, vocabulary=size, order=6, length=64)
    words = Words.within(stream)
    held = data.heldout.x1  # in the order of the text: neighbours are of one novel
    real, other = held[permutation(0, len(held), "judges")[: 2 * n]].split(n)
    texts = {"real": real}
    for member in work.members:
        warm = member.role is Role.CANDIDATE
        if warm and "draft" not in texts:
            start = member.method.starts_from(work.parts(seed))
            assert start is not None
            texts["draft"] = Alone(start.source, None, True)(n, steps=0, seed=seed)
        name = getattr(member.method, "pairing", "") if warm else member.name
        sampler = work.run(member.name, seed)
        for k in WARM_STEPS if warm else COLD_STEPS:
            texts[f"{name}, {k} steps"] = sampler(n, seed=seed, steps=k, batch=500).x
    print(
        f"\n{'':26s} nats: transformer  6-gram | entropy H(x2|x1)  valid words  duplicated 12-grams | discriminator's AUC"
    )
    for name, x in texts.items():
        nats = -float(log_chances(network, x).mean())
        print(f"{name:26s} {nats:17.3f} {likelihood(ngram, x, size).nats:7.3f} | {conditional_entropy(x, size)[0]:16.3f} "
              f"{valid_words(words, x):12.3f} {duplicates(x):12.4f} | {discriminator(other, x):12.3f}")  # fmt: skip
    for name, x in texts.items():
        print(f"\n{name}", *(f"    {data.codec.decode(one)}" for one in x[:3]), sep="\n")


def main(
    out: str, seeds: str = "2", updates: str = "2500", windows: str = "100000", samples: str = "2000", judge: str = "1500",
    file: str = str(NOVELS),
) -> None:  # fmt: skip
    methods = [WarmStart(pairing=pairing, rounds=1) for pairing in PAIRINGS]
    report = compare(
        Text(path=file, most=int(windows)), methods, out=out, seeds=range(int(seeds)), samples=int(samples),
        jobs=os.cpu_count() or 1, updates=int(updates),
    )  # fmt: skip
    print(report.verdict.answer)
    judges(Finished.read(Path(out)), min(1000, int(samples)), int(judge))


if __name__ == "__main__":
    main(*sys.argv[1:])
