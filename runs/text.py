"""Text at a small, equal budget: which pairing brings a warm flow how near to the cold ones, and what the judges say of it.

98 novels in 27 symbols, windows of 64. Drafts: a trigram model. Arms: cold from uniform tokens, cold from the mask, and a warm
flow for each pairing, all with one network, batch and number of updates. Two training seeds; the second is a check, so no
verdict here is more than an indication unless both agree. Warm flows walk 4, 8 and 16 steps, cold ones the same and five
times as many.

python runs/text.py train OUT SEED [UPDATES]      one seed, all arms; run the seeds beside each other
python runs/text.py measure OUT SEED              samples and rows of one seed
python runs/text.py judge OUT [SEEDS]             verdicts, the table of all rows, the judges' table
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from warmflow.arms import run_arm
from warmflow.checkpoints import load, read_json, read_tensors, write_tensors
from warmflow.measuring import Alone, read_rows, save_rows
from warmflow.metrics.cost import timed
from warmflow.metrics.judged import Words, conditional_entropy, discriminator, duplicates, likelihood, valid_words
from warmflow.networks.causal import log_chances
from warmflow.noise import permutation
from warmflow.recipes.build import plan_of
from warmflow.recipes.drafts import train_judge
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan, pairs
from warmflow.recipes.settings import settings_of
from warmflow.verdict import Row, as_good, judge

NOVELS = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "novels98" / "novels98.tar.xz"
PAIRINGS = ("rewritten", "maximal", "hamming-draft", "independent")
STEPS = (4, 8, 16)
COLD = ("cold", "cold_masked")
COLD_STEPS = (4, 16, 20, 40, 80)
SHOWN = {"cold": (20, 80), "cold_masked": (20, 80)}


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


def measure(out: str, seed: str) -> None:
    """Every row of one seed, and the samples behind it."""
    torch.set_num_threads(1)
    folder, here = Path(out) / seed, plan(PAIRINGS[0], _updates(Path(out), seed))
    ruler, _ = ruler_for(here.data, here.settings.samples)
    draft, n, rows, samples = here.draft(), here.settings.samples, [], {}
    for name in (*COLD, *PAIRINGS):
        sampler = load(folder / name)
        for steps in COLD_STEPS if name in COLD else STEPS:
            drawn = sampler(n, seed=int(seed), steps=steps, batch=500)
            single = timed(lambda s=sampler, k=steps: s(1, seed=0, steps=k), repeats=3).seconds
            calls, kind = float(drawn.calls.double().mean()), "cold" if name in COLD else "warm"
            found = ruler.measure(drawn.x)
            rows.append(Row(name, kind, "Jump", steps, calls, drawn.seconds / n, single, int(seed), found))
            samples[f"{name}.{steps}"] = drawn.x
            shown = {k: round(1e3 * v, 1) for k, v in found.distance.items()}
            print(f"{name:14s} {steps:3d} steps {calls:5.1f} calls {drawn.seconds:6.0f} s  {shown}", flush=True)
    x = Alone("draft", "draft", draft).drawn(n, int(seed))
    rows.append(Row("draft", "draft", "none", 0, 0.0, 0.0, 0.0, int(seed), ruler.measure(x)))
    samples["draft.0"] = x
    save_rows(folder, rows)
    write_tensors(folder / "samples.safetensors", samples)


def _updates(out: Path, seed: str) -> int:
    return int(read_json(out / seed / "cold" / "config.json")["asked"]["updates"])


def table(out: Path, seeds: list[str]) -> None:
    here = plan(PAIRINGS[0], _updates(out, seeds[0]))
    ruler, facts = ruler_for(here.data, here.settings.samples)
    margins = {m.name: f"{1e3 * ruler.margin(m.name):.2f}e-3" for m in ruler.metrics}
    print("margins (95 % of real against real):", margins, facts)
    rows = [row for seed in seeds for row in read_rows(out / seed)]
    for pairing in PAIRINGS:
        chosen = [r for r in rows if r.kind in ("cold", "draft") or r.arm == pairing]
        v = judge(ruler, chosen)
        print(f"\n{pairing}: {v.claim}")
        (out / f"verdict-{pairing}.json").write_text(json.dumps(v.to_json()))
        for steps in STEPS:  # beside cold at five times the steps, the better of its two starts on the first distance
            ours = {r.seed: r.measure for r in chosen if r.arm == pairing and r.steps == steps}
            colds = [{r.seed: r.measure for r in chosen if r.arm == name and r.steps == 5 * steps} for name in COLD]
            best = min(colds, key=lambda c: sum(m.distance[ruler.primary] for m in c.values()))
            gaps = as_good(ruler, ours, best).differences
            said = "; ".join(f"{d.metric} {d.estimate / d.margin:+.1f} [{d.high / d.margin:+.1f}]" for d in gaps)
            print(f"  {steps} steps less cold at {5 * steps}, in margins [upper bound]: {said}")
    names = " ".join(f"{m.name[-18:]:>18s}" for m in ruler.metrics)
    print(f"\n{'arm':14s} {'steps':>5s} {'calls':>6s}  {names}  copying")
    for line in judge(ruler, rows).to_json()["rows"]:
        d = " ".join(f"{1e3 * line['distances'][m.name]['distance']:18.2f}" for m in ruler.metrics)
        print(f"{line['arm']:14s} {line['steps']:5d} {line['calls']:6.1f}  {d}  {line['copying']:.4f}")


def judges(out: Path, seed: str) -> None:
    """Likelihood under an autoregressive transformer and a 6-gram of the judge's part, beside entropy and words."""
    from warmflow.sources import NGram

    here = plan(PAIRINGS[0], _updates(out, seed))
    stream, size = here.data.streams["judge"], len(here.data.codec)
    windows = stream[: len(stream) // 64 * 64].reshape(-1, 64)
    network = train_judge(windows[:100_000], size, steps=1500, batch=64, seed=0, folder=out / "judge", progress="judge")
    ngram = NGram.fit(stream, vocabulary=size, order=6, length=64)
    words, n = Words.within(stream), 1000
    samples, _ = read_tensors(out / seed / "samples.safetensors")
    held = here.data.heldout.x1  # in the order of the text: neighbours are of one novel
    real, other = held[permutation(0, len(held), "judges")[: 2 * n]].split(n)
    texts = {"real": real, "draft": samples["draft.0"][:n]}
    for name in (*COLD, *PAIRINGS):
        texts |= {f"{name}, {k} steps": samples[f"{name}.{k}"][:n] for k in SHOWN.get(name, (4, 16))}
    print(
        f"\n{'':26s} nats: transformer  6-gram | entropy H(x2|x1)  valid words  duplicated 12-grams | discriminator's AUC"
    )
    for name, x in texts.items():
        nats = -float(log_chances(network, x).mean())
        print(f"{name:26s} {nats:17.3f} {likelihood(ngram, x, size).nats:7.3f} | {conditional_entropy(x, size)[0]:16.3f} "
              f"{valid_words(words, x):12.3f} {duplicates(x):12.4f} | {discriminator(other, x):12.3f}")  # fmt: skip
    for name, x in texts.items():
        print(f"\n{name}")
        for row in x[:3]:
            print("    " + here.data.codec.decode(row))


if __name__ == "__main__":
    verb, where = sys.argv[1], sys.argv[2]
    if verb == "judge":
        chosen = sys.argv[3].split(",") if len(sys.argv) > 3 else ["0", "1"]
        table(Path(where), chosen)
        judges(Path(where), chosen[0])
    else:
        {"train": train, "measure": measure}[verb](where, *sys.argv[3:])
