"""Which distance and which guard a kind of data is judged by.

    labelled images   MMD on a small classifier's penultimate layer first, MMD on pixels beside it; classes
    other images      MMD on pixels; clusters
    points            MMD on coordinates, and the same at an eighth of the width; clusters

A claim must hold on every distance named here. Each arm is measured on four sets of the size of the real set: one set
is too few to call equal arms equal (see ``metrics.ruler``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from warmflow.data import DataSet
from warmflow.metrics.features import clusters_of, train_classifier
from warmflow.metrics.mmd import mmd_for
from warmflow.verdict import Ruler

SETS = 4
FINE = 8
"""In the plane the median distance spans the whole figure: kernels that wide do not see that each mode is blurred."""


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
    name = "MMD on pixels" if data.kind == "images" else "MMD on coordinates"
    labeller = clusters_of(train, k=min(10, len(train) // 20), seed=seed)
    metric = mmd_for(train, None, name)
    fine = replace(metric, name=f"{name}, fine", scale=metric.scale / FINE)
    both = (metric,) if data.kind == "images" else (metric, fine)
    return Ruler.of(train, real, data.everything, both, labeller, samples, seed=seed, splits=splits, sets=SETS), facts
