"""Text at a small, equal budget: which pairing brings a warm flow how near to the cold ones, and what the judges say of it.

98 novels in 27 symbols, windows of 64. Drafts: a trigram model. Arms: cold from uniform tokens, cold from the mask, and a warm
flow for each pairing, all with one network, batch and number of updates. Two training seeds; the second is a check, so no
verdict here is more than an indication unless both agree.

python runs/text.py train OUT SEED [UPDATES]      one seed, all arms; run the seeds beside each other
python runs/text.py judge OUT [SEEDS]             rows, verdicts and the judges' table
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from warmflow.arms import run_arm
from warmflow.checkpoints import load, read_json
from warmflow.measuring import Alone, Entry, measured, save_rows
from warmflow.metrics.judged import Words, conditional_entropy, duplicates, likelihood, valid_words
from warmflow.networks.causal import log_chances
from warmflow.noise import Noise
from warmflow.recipes.build import plan_of
from warmflow.recipes.drafts import train_judge
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan, pairs
from warmflow.recipes.settings import settings_of
from warmflow.verdict import judge

NOVELS = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "novels98" / "novels98.tar.xz"
PAIRINGS = ("rewritten", "maximal", "hamming-draft", "independent")
STEPS = (4, 16, 64)
COLD = ("cold", "cold_masked")


def plan(pairing: str, updates: int) -> Plan:
    changes = {
        "path": str(NOVELS),
        "pairing": pairing,
        "updates": updates,
        "most": 100_000,
        "rounds": 1,
        "samples": 2000,
    }
    return plan_of("text.file", settings_of("text.file", **changes))


def train(out: str, seed: str, updates: str = "1000") -> None:
    """All arms of one seed."""
    torch.set_num_threads(1)
    for pairing in PAIRINGS:
        here = plan(pairing, int(updates))
        draft = here.draft()
        folder = Path(out) / seed
        if pairing == PAIRINGS[0]:
            for name in COLD:
                run_arm(here, name, int(seed), folder / name, None, None, progress=f"{name} {seed}")
        paired = pairs(here, draft, Path(out) / f"pairs-{pairing}-{seed}")
        run_arm(here, "warm", int(seed), folder / pairing, draft, paired, progress=f"{pairing} {seed}")


def table(out: Path, seeds: list[int], updates: int) -> None:
    here = plan(PAIRINGS[0], updates)
    ruler, facts = ruler_for(here.data, here.settings.samples)
    print(
        "margins (95 % of real against real):",
        {m.name: f"{1e3 * ruler.margin(m.name):.2f}e-3" for m in ruler.metrics},
        facts,
    )
    draft = here.draft()
    entries = []
    for seed in seeds:
        for name in (*COLD, *PAIRINGS):
            folder = out / str(seed) / name
            seconds = float(read_json(folder / "config.json")["training"]["seconds"])
            entries.append(Entry(name, "cold" if name in COLD else "warm", seed, load(folder), seconds))
    rows = list(measured(here, ruler, entries, [Alone("draft", "draft", draft)], STEPS, True))
    save_rows(out, rows)
    for pairing in PAIRINGS:
        chosen = [r for r in rows if r.kind in ("cold", "draft") or r.arm == pairing]
        v = judge(ruler, chosen)
        print(f"\n{pairing}: {v.claim}")
        (out / f"verdict-{pairing}.json").write_text(json.dumps(v.to_json()))
    print(
        f"\n{'arm':14s} {'steps':>5s} {'calls':>6s}  "
        + " ".join(f"{m.name[-18:]:>18s}" for m in ruler.metrics)
        + "  copying"
    )
    for line in judge(ruler, rows).to_json()["rows"]:
        d = " ".join(f"{1e3 * line['distances'][m.name]['distance']:18.2f}" for m in ruler.metrics)
        print(f"{line['arm']:14s} {line['steps']:5d} {line['calls']:6.1f}  {d}  {line['copying']:.4f}")


def judges(out: Path, seed: int, updates: int) -> None:
    """Likelihood under an autoregressive transformer and a 6-gram of the judge's part, beside entropy and words."""
    from warmflow.sources import NGram

    here = plan(PAIRINGS[0], updates)
    stream, size = here.data.streams["judge"], len(here.data.codec)
    windows = stream[: len(stream) // 64 * 64].reshape(-1, 64)
    network = train_judge(windows[:100_000], size, steps=1500, batch=64, seed=0, folder=out / "judge", progress="judge")
    ngram = NGram.fit(stream, vocabulary=size, order=6, length=64)
    words = Words.within(stream)
    n = 1000
    texts = {"real": here.data.heldout.x1[:n], "draft": here.draft().draw(n, noise=Noise.of(seed, n)).x0}
    for name in (*COLD, *PAIRINGS):
        sampler = load(out / str(seed) / name)
        for steps in (16, 64):
            texts[f"{name}, {steps} steps"] = replace(sampler, steps=steps)(n, seed=seed).x
    print(f"\n{'':28s} nats: transformer  6-gram | entropy H(x2|x1)  valid words  duplicated 12-grams")
    for name, x in texts.items():
        nats = -float(log_chances(network, x).mean())
        print(f"{name:28s} {nats:17.3f} {likelihood(ngram, x, size).nats:7.3f} | {conditional_entropy(x, size)[0]:16.3f} "
              f"{valid_words(words, x):12.3f} {duplicates(x):12.4f}")  # fmt: skip
        print("    " + here.data.codec.decode(x[0]))


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(*sys.argv[2:])
    else:
        where = Path(sys.argv[2])
        chosen = [int(s) for s in (sys.argv[3] if len(sys.argv) > 3 else "0,1").split(",")]
        trained = int(read_json(where / str(chosen[0]) / "cold" / "config.json")["asked"]["updates"])
        table(where, chosen, trained)
        judges(where, chosen[0], trained)
