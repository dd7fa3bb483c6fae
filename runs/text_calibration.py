"""Is the verdict on text right when the answer is known? Planted arms on the 98 novels, before any network is trained.

Cold is real: held-out windows of 64 characters that nothing else uses. Warm is one of

    equal       other held-out windows                                      right: as good, 5 times fewer calls
    corrupted   held-out windows, 10 % of characters replaced at random     right: not as good, by a distance
    sampler     a 5-gram model of the training part                         right: not as good, by a distance
    likely      the likelier half of held-out windows, under the judge      right: not as good, by a distance
    copies      a fifth are cut out of the training part                    right: no claim, the copying guard fails
    word        every window repeats one common word                        right: not as good, by a distance
    start       every window repeats its first 8 characters                 right: not as good, by a distance

Five training seeds a verdict; ruler, real set and every arm are drawn anew in each repetition. Prints how often each arm was
judged right, its distances in margins, and plain numbers. Two minutes to read the novels, then about half a minute a
repetition on one core.

python runs/text_calibration.py [REPETITIONS] [SAMPLES:REAL ...]
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warmflow.data.text import DIGITS, text
from warmflow.metrics.copying import CopiedRuns
from warmflow.metrics.judged import Words, judged, text_numbers
from warmflow.noise import Noise
from warmflow.recipes.measures import JUDGE_ORDER, TEXT_SETS, text_ruler
from warmflow.sources import NGram
from warmflow.verdict import Row, Ruler, Verdict, judge

LENGTH, VOCABULARY, SEEDS, SPLITS = 64, 27, 5, 200
ARMS = ("equal", "corrupted", "sampler", "likely", "copies", "word", "start")
TRAIN_WINDOWS = 50_000
"""Of the training windows, what the ruler standardises by; what counts as copied is the whole training part."""
COMMON = ("the", "and", "that", "with", "his", "her", "for", "was", *DIGITS[1:4])


@dataclass(frozen=True, eq=False)
class Corpus:
    """What a verdict on the novels is made from: windows, streams and models of the parts."""

    train: Tensor
    stream: Tensor
    heldout: Tensor
    likely: Tensor
    pool: Tensor
    words: Words
    judge: NGram
    sampler: NGram
    copied: CopiedRuns


def corpus() -> Corpus:
    path = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "novels98" / "novels98.tar.xz"
    data = text(path, length=LENGTH)
    stream, own = data.streams["train"], data.streams["judge"]
    reader = NGram.fit(own, vocabulary=VOCABULARY, order=JUDGE_ORDER, length=LENGTH)
    heldout = data.heldout.x1
    score = judged(reader, heldout).mean(1)
    return Corpus(
        train=data.train.x1,
        stream=stream,
        heldout=heldout,
        likely=heldout[score >= score.median()],
        pool=data.everything,
        words=Words.within(own),
        judge=reader,
        sampler=NGram.fit(stream, vocabulary=VOCABULARY, order=5, length=LENGTH),
        copied=CopiedRuns.of(stream, LENGTH),
    )


def encoded(word: str) -> Tensor:
    return torch.tensor([ord(letter) - 96 for letter in word] + [0])


class Planter:
    """The arms of one repetition; no held-out window is drawn twice, but by ``likely``, which draws from its half."""

    def __init__(self, found: Corpus, real: int, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 17])
        self.found, order = found, torch.from_numpy(self.rng.permutation(len(found.heldout)))
        self.real, self.left = found.heldout[order[:real]], order[real:]

    def fresh(self, n: int) -> Tensor:
        rows, self.left = self.left[:n], self.left[n:]
        assert len(rows) == n, "the held-out part is used up"
        return self.found.heldout[rows]

    def cut(self, n: int) -> Tensor:
        begin = torch.from_numpy(self.rng.integers(len(self.found.stream) - LENGTH, size=n))
        return self.found.stream[begin[:, None] + torch.arange(LENGTH)]

    def arm(self, name: str, n: int) -> Tensor:
        if name == "corrupted":
            x = self.fresh(n)
            other = torch.from_numpy(self.rng.integers(VOCABULARY, size=x.shape))
            return torch.where(torch.from_numpy(self.rng.random(x.shape)) < 0.1, other, x)
        if name == "sampler":
            return self.found.sampler.draw(n, noise=Noise.of(int(self.rng.integers(2**62)), n)).x0
        if name == "likely":
            return self.found.likely[torch.from_numpy(self.rng.permutation(len(self.found.likely))[:n])]
        if name == "copies":
            x = torch.cat([self.cut(n // 5), self.fresh(n - n // 5)])
            return x[torch.from_numpy(self.rng.permutation(n))]
        if name == "word":
            said = [encoded(COMMON[i]).repeat(LENGTH)[:LENGTH] for i in self.rng.integers(len(COMMON), size=n)]
            return torch.stack(said)
        if name == "start":
            return self.fresh(n)[:, :8].repeat(1, LENGTH // 8)
        return self.fresh(n)


def verdicts(found: Corpus, repetition: int, samples: int, real: int) -> tuple[Ruler, dict[str, Verdict]]:
    planter = Planter(found, real, repetition)
    ruler = text_ruler(
        found.train[:TRAIN_WINDOWS], planter.real, found.pool, found.judge, found.words, VOCABULARY, samples, repetition,
        SPLITS, found.copied,
    )  # fmt: skip

    def rows(name: str, kind: str, calls: int) -> list[Row]:
        measures = [ruler.measure(planter.arm(name, samples)) for _ in range(SEEDS)]
        return [Row(kind, kind, "jump", calls, calls, 1e-3 * calls, 1e-2, s, m) for s, m in enumerate(measures)]

    cold = rows("cold", "cold", 20)
    return ruler, {name: judge(ruler, cold + rows(name, "warm", 4)) for name in ARMS}


def is_right(name: str, verdict: Verdict) -> bool:
    if name == "equal":
        return verdict.holds and verdict.factor_calls == 5.0
    if name == "copies":
        return not verdict.holds and not verdict.more["guards"]["copying"]["passes"]
    return not verdict.holds and not all(d["holds"] for d in verdict.more["differences"].values())


@dataclass(frozen=True)
class Tally:
    """What the repetitions of one setting found: numbers by (arm, metric or guard), margins by metric, and what lost an
    equal arm."""

    right: dict[str, int]
    numbers: dict[tuple[str, str], list[float]]
    margins: dict[str, list[float]]
    lost: list[str]

    def add(self, ruler: Ruler, judgements: dict[str, Verdict]) -> None:
        for metric in ruler.metrics:
            self.margins.setdefault(metric.name, []).append(ruler.margin(metric.name))
        for name, verdict in judgements.items():
            self.right[name] += is_right(name, verdict)
            for metric, d in verdict.more["differences"].items():
                self.numbers.setdefault((name, metric), []).append(d["estimate"] / d["margin"])
                self.numbers.setdefault((name, f"{metric} high"), []).append(d["high"] / d["margin"])
                if name == "equal" and not d["holds"]:
                    self.lost.append(metric)
            for guard, g in verdict.more["guards"].items():
                self.numbers.setdefault((name, guard), []).append(g["value"])
                if name == "equal" and not g["passes"]:
                    self.lost.append(f"{guard} guard")

    def show(self, repetitions: int) -> None:
        print("margins (nats; MMD: kernel):", ", ".join(f"{m} {np.mean(v):.1e}" for m, v in self.margins.items()))
        print("D(warm) - D(cold) in margins: mean over repetitions (largest upper bound)")
        print(f"{'arm':10s} right  " + "".join(f"{m:>24s}" for m in self.margins) + "  variation  copying")
        for name, right in self.right.items():
            line = f"{name:10s} {right:2d}/{repetitions}  "
            for metric in self.margins:
                mean, high = np.mean(self.numbers[name, metric]), max(self.numbers[name, f"{metric} high"])
                line += f"{mean:13.1f} ({high:8.1f})"
            variation, copying = (np.mean(self.numbers[name, guard]) for guard in ("variation", "copying"))
            print(f"{line}  {variation:9.3f}  {copying:7.3f}")
        print("equal arms were lost by:", ", ".join(self.lost) or "nothing", flush=True)


def main(repetitions: str = "20", *settings: str) -> None:
    torch.set_num_threads(1)
    found = corpus()
    for setting in settings or ("2000:2000",):
        samples, real = (int(number) for number in setting.split(":"))
        tally = Tally(dict.fromkeys(ARMS, 0), {}, {}, [])
        for repetition in range(int(repetitions)):
            tally.add(*verdicts(found, repetition, samples, real))
        print(f"\n{samples} samples an arm and seed in {TEXT_SETS} sets, {real} real windows, {SEEDS} seeds")
        tally.show(int(repetitions))
    numbers(found)


def numbers(found: Corpus) -> None:
    """The plain numbers of one set of 2,000 windows an arm, against 2,000 other held-out windows."""
    planter = Planter(found, 2_000, 0)
    rows = {
        name: text_numbers(planter.arm(name, 2_000), found.judge, found.words, found.copied, VOCABULARY, planter.real)
        for name in ARMS
    }
    rows["training"] = text_numbers(
        planter.cut(2_000), found.judge, found.words, found.copied, VOCABULARY, planter.real
    )
    print("\n" + " " * 10 + "".join(f"{key:>20s}" for key in rows["equal"]))
    for name, row in rows.items():
        print(f"{name:10s}" + "".join(f"{value:20.4g}" for value in row.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
