"""Which distance and which guard a kind of data is judged by.

    labelled images   MMD on a small classifier's penultimate layer first, MMD on pixels beside it; classes
    other images      MMD on pixels; clusters
    points            MMD on coordinates, and the same at an eighth of the width; clusters
    points on a grid  the same on the middles of their cells; coarse cells
    texts             excess divergence of 4-, 3-, 2- and 1-grams, MMD on judged features; deciles of likelihood; copied runs

A claim must hold on every distance named here. Each arm is measured on four sets of the size of the real set: one set
is too few to call equal arms equal (see ``metrics.ruler``). Text has eight sets, against up to 2,000 real windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from warmflow.data import DataSet
from warmflow.metrics.copying import CopiedRuns
from warmflow.metrics.features import clusters_of, train_classifier
from warmflow.metrics.judged import Judge, Judged, Words, deciles_of, gaps
from warmflow.metrics.kgrams import kgrams_for
from warmflow.metrics.mmd import mmd_for
from warmflow.noise import permutation
from warmflow.sources import NGram
from warmflow.verdict import Ruler

SETS = 4
FINE = 8
"""In the plane the median distance spans the whole figure: kernels that wide do not see that each mode is blurred."""
LONGEST_GRAM = 4
TEXT_SETS = 8
"""Five distances must hold on text, and each loses its share of equal arms. Cut into four sets, 1,000 or 2,000 samples of equal
arms were judged equal in 75 of 80 verdicts (novels 57 of 60); 1,000 in eight sets, all of 40."""
TEXT_REAL = 2_000
TEXT_TRAIN = 10_000
JUDGE_ORDER = 6


def ruler_for(data: DataSet, samples: int, *, seed: int = 0, splits: int = 200) -> tuple[Ruler, dict[str, Any]]:
    """The ruler of a data set, fixed before anything is sampled, and facts about it (the classifier's accuracy)."""
    train, real = data.train.x1, data.heldout.x1
    size = max(1, min(samples // SETS, len(real)))
    real, samples = real[:size], size * SETS
    facts: dict[str, Any] = {}
    labels = data.train.condition.get("label")
    if data.kind == "images" and labels is not None and len(data.classes) > 1:
        classifier = train_classifier(train, labels, classes=len(data.classes), seed=seed)
        held = data.heldout
        facts["classifier_accuracy"] = classifier.accuracy(held.x1, held.condition["label"])
        metrics = (mmd_for(train, classifier, "MMD on classifier features"), mmd_for(train, None, "MMD on pixels"))
        return Ruler.of(
            train, real, data.everything, metrics, classifier, samples, seed=seed, splits=splits, sets=SETS
        ), facts
    if "judge" in data.streams:
        stream, vocabulary = data.streams["judge"], len(data.codec)
        judge = NGram.fit(stream, vocabulary=vocabulary, order=JUDGE_ORDER, length=train.shape[1])
        symbols = getattr(data.codec, "symbols", ())
        words = Words.within(stream, space=symbols.index(" ") if " " in symbols else 0)
        facts |= {"judge_order": JUDGE_ORDER, "judge_tokens": len(stream), "words": len(words)}
        heldout, told = data.heldout.x1, data.streams["train"]
        return text_ruler(train, heldout, data.everything, judge, words, vocabulary, samples, seed, splits, told), facts
    if data.kind == "tokens":
        grid = data.codec
        wide = mmd_for(train, grid, "MMD on coordinates")
        fine = replace(wide, name=f"{wide.name}, fine", scale=wide.scale / FINE)
        cells = Ruler.of(
            train, real, data.everything, (wide, fine), grid, samples, seed=seed, splits=splits, sets=SETS,
            beside=(),
        )  # fmt: skip
        return cells, facts
    name = "MMD on pixels" if data.kind == "images" else "MMD on coordinates"
    labeller = clusters_of(train, k=min(10, len(train) // 20), seed=seed)
    metric = mmd_for(train, None, name)
    fine = replace(metric, name=f"{name}, fine", scale=metric.scale / FINE)
    both = (metric,) if data.kind == "images" else (metric, fine)
    return Ruler.of(train, real, data.everything, both, labeller, samples, seed=seed, splits=splits, sets=SETS), facts


def text_ruler(
    train_windows: Tensor,
    heldout_windows: Tensor,
    pool_windows: Tensor,
    judge: Judge,
    words: Words,
    vocabulary: int,
    samples: int,
    seed: int = 0,
    splits: int = 200,
    train_text: Tensor | CopiedRuns | None = None,
) -> Ruler:
    """The ruler for windows of tokens (n, L) int64, fixed before anything is sampled.

    Against at most 2,000 held-out windows, in an order drawn from ``seed``. ``judge`` and ``words`` come from a part of the
    text that is neither trained on nor measured on. ``train_text`` (T,) is the text whose runs count as copied, or these
    runs; by default the training windows one after the other.
    """
    length = train_windows.shape[1]
    size = max(1, min(samples // TEXT_SETS, len(heldout_windows)))
    real = heldout_windows[permutation(seed, len(heldout_windows), "text.real")[:TEXT_REAL]]
    train = train_windows[permutation(seed, len(train_windows), "text.train")[:TEXT_TRAIN]]
    grams = [kgrams_for(k, vocabulary, size) for k in range(min(LONGEST_GRAM, length), 0, -1)]
    judged = mmd_for(train, Judged.of(judge, words, train, vocabulary), "MMD on judged features")
    copied = train_windows.reshape(-1) if train_text is None else train_text
    return Ruler.of(
        train_windows,
        real,
        pool_windows,
        [*grams, judged],
        deciles_of(judge, train),
        size * TEXT_SETS,
        seed=seed,
        splits=splits,
        sets=TEXT_SETS,
        beside=gaps(judge, words, vocabulary),
        copies=copied if isinstance(copied, CopiedRuns) else CopiedRuns.of(copied, length),
    )
