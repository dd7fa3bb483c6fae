"""The verdict on planted arms of text, before any network is trained: is it right when the answer is known?

The truth is a text that never ends: a 6-gram model of the prose that Python brings with it, drawn anew for each part, real
set and arm. Cold is the truth; warm is

    equal       the truth too                                       right: as good, and all guards pass
    corrupted   10 % of its characters replaced at random           right: not as good, by a distance
    sampler     a 4-gram model of the training text                 right: not as good, by a distance
    likely      the likelier half of windows, under the judge       right: not as good, by a distance
    copies      a fifth are cut out of the training text            right: no claim, and the copying guard fails
    word        every window repeats one common word                right: not as good, by a distance
    start       every window repeats its first eight characters     right: not as good, by a distance

``runs/text_calibration.py`` asks the same of 98 novels, at more sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.metrics.judged import Words, judged
from warmflow.noise import Noise
from warmflow.recipes.measures import text_ruler
from warmflow.sources import NGram
from warmflow.verdict import Row, Ruler, Verdict, judge

LENGTH, VOCABULARY = 64, 27
TRAIN, JUDGE, REAL = 5_000, 1_500, 500
SAMPLES, SEEDS, SPLITS = 1_000, 5, 60
ARMS = ("equal", "corrupted", "sampler", "likely", "copies", "word", "start")


@cache
def truth() -> tuple[NGram, Words]:
    from pydoc_data.topics import topics

    prose = re.sub("[^a-z]+", " ", " ".join(str(topics[name]) for name in sorted(topics)).lower())
    text = torch.tensor([0 if letter == " " else ord(letter) - 96 for letter in prose])
    return NGram.fit(text, vocabulary=VOCABULARY, order=6, length=LENGTH), Words.within(text)


def verdicts(repetition: int) -> dict[str, Verdict]:
    """One verdict an arm, on text that belongs to this repetition alone."""
    law, words = truth()
    rng = np.random.default_rng([repetition, 23])

    def draw(n: int, model: NGram = law) -> Tensor:
        return model.draw(n, noise=Noise.of(int(rng.integers(2**62)), n)).x0

    train, real, pool = draw(TRAIN), draw(REAL), draw(4 * REAL)
    stream = train.reshape(-1)
    reader = NGram.fit(draw(JUDGE).reshape(-1), vocabulary=VOCABULARY, order=5, length=LENGTH)
    sampler = NGram.fit(stream, vocabulary=VOCABULARY, order=4, length=LENGTH)
    ruler = text_ruler(train, real, torch.cat([real, pool]), reader, words, VOCABULARY, SAMPLES, repetition, SPLITS)

    def corrupted() -> Tensor:
        x, other = draw(SAMPLES), torch.from_numpy(rng.integers(VOCABULARY, size=(SAMPLES, LENGTH)))
        return torch.where(torch.from_numpy(rng.random(x.shape)) < 0.1, other, x)

    def likely() -> Tensor:
        x = draw(2 * SAMPLES)
        best = judged(reader, x).mean(1).topk(SAMPLES).indices
        return x[best[torch.from_numpy(rng.permutation(SAMPLES))]]

    def copies() -> Tensor:
        begin = torch.from_numpy(rng.integers(len(stream) - LENGTH, size=SAMPLES // 5))
        x = torch.cat([stream[begin[:, None] + torch.arange(LENGTH)], draw(SAMPLES - SAMPLES // 5)])
        return x[torch.from_numpy(rng.permutation(SAMPLES))]

    def word() -> Tensor:
        said = [
            torch.tensor([ord(letter) - 96 for letter in w] + [0]) for w in ("the", "object", "is", "class", "name")
        ]
        return torch.stack([said[i].repeat(LENGTH)[:LENGTH] for i in rng.integers(len(said), size=SAMPLES)])

    planted: dict[str, Callable[[], Tensor]] = {
        "equal": lambda: draw(SAMPLES),
        "corrupted": corrupted,
        "sampler": lambda: draw(SAMPLES, sampler),
        "likely": likely,
        "copies": copies,
        "word": word,
        "start": lambda: draw(SAMPLES)[:, :8].repeat(1, LENGTH // 8),
    }
    assert tuple(planted) == ARMS
    cold = _rows(ruler, planted["equal"], "cold", 20)
    return {arm: judge(ruler, cold + _rows(ruler, draws, "warm", 4)) for arm, draws in planted.items()}


def _rows(ruler: Ruler, draws: Callable[[], Tensor], kind: str, calls: int) -> list[Row]:
    measures = [ruler.measure(draws()) for _ in range(SEEDS)]
    return [Row(kind, kind, "jump", calls, calls, 1e-3 * calls, 1e-2, s, m) for s, m in enumerate(measures)]


def is_right(arm: str, verdict: Verdict) -> bool:
    if arm == "equal":
        return verdict.holds and verdict.factor_calls == 5.0
    if arm == "copies":
        return (
            not verdict.holds and not verdict.more["guards"]["copying"]["passes"] and "copying guard" in verdict.claim
        )
    return not verdict.holds and not all(d["holds"] for d in verdict.more["differences"].values())


def right_of(repetitions: int) -> dict[str, int]:
    counts = dict.fromkeys(ARMS, 0)
    for repetition in range(repetitions):
        for arm, verdict in verdicts(repetition).items():
            counts[arm] += is_right(arm, verdict)
            if arm == "equal" and not is_right(arm, verdict):
                print(f"\nrepetition {repetition}: {verdict.claim}")
    print(f"\nright of {repetitions}: {counts}")
    return counts


def test_planted_arms_of_text_are_judged_right() -> None:
    assert right_of(1) == dict.fromkeys(ARMS, 1)


@pytest.mark.slow
def test_planted_arms_of_text_are_judged_right_in_19_of_20() -> None:
    assert min(right_of(20).values()) >= 19
