"""Which metrics and guards a kind of data is judged by.

    labelled images   MMD on a small classifier's penultimate layer first, on pixels, and on oriented gradients; classes
    other images      MMD on pixels first, and on oriented gradients; clusters
    points            MMD on coordinates, and the same at an eighth of the width; clusters
    points on a grid  the same on the middles of their cells; coarse cells
    images for inputs MMD on the pair (input, output) first, on outputs, classifier features and gradients; the energy score
    texts             excess divergence of 4-, 3-, 2- and 1-grams, MMD on judged features; deciles of likelihood; copied runs

The first is the primary metric: it decides which rows are useful. Any of them may show that a baseline row is worse, and any
that shows the candidate to be worse forbids the claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.data import DataSet
from warmflow.data.given import halves
from warmflow.data.paired import INPUT
from warmflow.data.ready import Part
from warmflow.evaluation.paired import paired_data
from warmflow.evaluation.real import RealData
from warmflow.metrics.copying import CopiedRuns, CopiedRunsReference
from warmflow.metrics.features import clusters_of, train_classifier
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.gradients import Gradients
from warmflow.metrics.judged import Judge, Judged, Words, deciles_of, gaps
from warmflow.metrics.kgrams import kgrams_for
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import Extractor, ResampledMetric
from warmflow.metrics.variation import Labeller
from warmflow.noise import permutation
from warmflow.sources import NGram

FINE = 8
"""In the plane the median distance spans the whole figure: kernels that wide do not see that each mode is blurred."""
LEAST_SIDE = 8
Facts = Mapping[str, float]
MOST = 5_000
"""Rows of the test set and of the validation set, at most: the first of a fixed permutation."""
LEAST_VALIDATION = 100
LONGEST_GRAM = 4
TEXT_TRAIN = 10_000
BAG = 250
"""Windows in a bag of the k-gram divergences."""
JUDGE_ORDER = 6


def held_out(data: DataSet) -> tuple[Tensor, Tensor]:
    """(test, validation) of a data set. Where its validation part has fewer than ``LEAST_VALIDATION`` rows, all that was not
    trained on is divided anew: each part then has the 20 rows that a distance needs, of 200 rows of data on."""
    test = data.heldout.x1
    validation = test[:0] if data.validation is None else data.validation.x1
    if len(validation) < LEAST_VALIDATION:
        test, validation = halves(torch.cat([test, validation]))
    return test[:MOST], validation[:MOST]


def real_data(data: DataSet, samples: int) -> tuple[RealData, Facts]:
    """The real data of a data set made ready for rows of ``samples`` samples, and facts about it (the classifier's accuracy)."""
    train = data.train.x1
    test, validation = held_out(data)
    labels = data.train.condition.get("label")
    if INPUT in data.train.condition:
        return _restorations(data, samples)
    if "judge" in data.streams:
        return _texts(data, test, validation, samples)
    if data.kind == "images" and labels is not None and len(data.classes) > 1:
        classifier = train_classifier(train, labels, classes=len(data.classes), seed=0)
        held = data.heldout
        facts = {"classifier_accuracy": classifier.accuracy(held.x1, held.condition["label"])}
        metrics: list[ResampledMetric] = [mmd_for(train, classifier, "classifier features"), *_of_images(train)]
        beside = (Frechet(extractor=classifier),)
        made = RealData.of(test, validation, metrics, train=train, labeller=classifier, beside=beside, bounds=data.bounds,
                           samples=samples)  # fmt: skip
        return made, facts
    if data.kind == "tokens":
        wide = mmd_for(train, data.grid, "coordinates")
        fine = replace(wide, name="coordinates, fine", scale=wide.scale / FINE)
        return RealData.of(test, validation, (wide, fine), labeller=data.grid, samples=samples), {}
    clusters = clusters_of(train, k=min(10, len(train) // 20))
    if data.kind == "images":
        metrics = _of_images(train)
    else:
        wide = mmd_for(train, None, "coordinates")
        metrics = [wide, replace(wide, name="coordinates, fine", scale=wide.scale / FINE)]
    made = RealData.of(test, validation, metrics, train=train, labeller=clusters, beside=(Frechet(),), bounds=data.bounds,
                       samples=samples)  # fmt: skip
    return made, {}


def _restorations(data: DataSet, samples: int) -> tuple[RealData, Facts]:
    """Images that answer an input: joint rows of input and output."""

    def part(batch: Batch) -> Part:
        return Part(batch.condition[INPUT][:MOST], batch.x1[:MOST])

    whole, labels, facts = data.train, data.train.condition.get("label"), {}
    train = Part(whole.condition[INPUT], whole.x1)
    test, validation = part(data.heldout), part(data.apart)
    if data.validation is None or not len(data.validation):
        half = len(test) // 3
        test, validation = Part(test.inputs[half:], test.truth[half:]), Part(test.inputs[:half], test.truth[:half])
    extractors: list[tuple[str, Extractor]] = [("gradients", Gradients())] if min(data.shape[1:]) >= LEAST_SIDE else []
    labeller: Labeller = clusters_of(train.truth, k=min(10, len(whole) // 20))
    if labels is not None and len(data.classes) > 1:
        classifier = train_classifier(train.truth, labels, classes=len(data.classes), seed=0)
        facts["classifier_accuracy"] = classifier.accuracy(data.heldout.x1, data.heldout.condition["label"])
        extractors, labeller = [("classifier features", classifier), *extractors], classifier
    span = None if data.bounds is None else data.bounds[1] - data.bounds[0]
    made = paired_data(train, test, validation, extractors=extractors, labeller=labeller, span=span, samples=samples)
    return made, facts


def _of_images(train: Tensor) -> list[ResampledMetric]:
    found: list[ResampledMetric] = [mmd_for(train, None, "pixels")]
    if min(train.shape[2:]) >= LEAST_SIDE:
        found.append(mmd_for(train, Gradients(), "gradients"))
    return found


def _texts(data: DataSet, test: Tensor, validation: Tensor, samples: int) -> tuple[RealData, Facts]:
    """Judged by a model and a word list from a part of the text that is neither trained on nor measured on."""
    stream, vocabulary, length = data.streams["judge"], data.vocabulary, test.shape[1]
    judge = NGram.fit(stream, vocabulary=vocabulary, order=JUDGE_ORDER, length=length)
    symbols = () if data.alphabet is None else data.alphabet.symbols
    words = Words.within(stream, space=symbols.index(" ") if " " in symbols else 0)
    facts = {"judge_order": JUDGE_ORDER, "judge_tokens": len(stream), "words": len(words)}
    made = text_data(data.train.x1, test, validation, judge, words, vocabulary, samples, data.streams["train"])
    return made, facts


def text_data(
    train: Tensor, test: Tensor, validation: Tensor, judge: Judge, words: Words, vocabulary: int, samples: int,
    text: Tensor,
) -> RealData:  # fmt: skip
    """The real data of windows of tokens (n, L) int64; ``text`` (T,) is the text whose runs count as copied."""
    length = train.shape[1]
    few = train[permutation(0, len(train), "text.train")[:TEXT_TRAIN]]
    bag = max(2, min(BAG, len(test) // 2, len(validation) // 2, samples // 8))
    grams: list[ResampledMetric] = [kgrams_for(k, vocabulary, bag) for k in range(min(LONGEST_GRAM, length), 0, -1)]
    judged = mmd_for(few, Judged.of(judge, words, few, vocabulary), "judged features")
    runs = CopiedRuns.of(text, length)
    return RealData.of(
        test, validation, [*grams, judged], copying=CopiedRunsReference.of(runs, test), labeller=deciles_of(judge, few),
        beside=gaps(judge, words, vocabulary), samples=samples,
    )  # fmt: skip
