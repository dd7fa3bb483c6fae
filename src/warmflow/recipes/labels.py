"""Flows that are given a label: every arm sees it, starts of a label are paired with data of that label, a draft a class.

training   a tenth of the rows is told no label (-1), so that guidance has its blind velocity
samples    labels by the training part's shares, one a sample, of the sample's own noise
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from warmflow.contracts import Coupling, Field, Source
from warmflow.couplings import Assignment
from warmflow.data import DataSet
from warmflow.fields import Guided
from warmflow.recipes.plan import Drafting, fitted
from warmflow.recipes.settings import Classes, Floats, Settings
from warmflow.sources import ByLabel, Labelled

DROP = 0.1
"""Share of the rows whose label is dropped in training."""


def conditional(settings: Settings) -> bool:
    """Whether flows of these settings are given labels."""
    return isinstance(settings, Classes) and settings.conditional


def number(data: DataSet) -> int:
    """How many labels there are.

    Raises:
        ValueError: data without labels, or a label with fewer than two training rows.
    """
    label = data.train.condition.get("label")
    if label is None:
        raise ValueError(f"--conditional is for data with labels, and {data.name} has none: leave it out")
    counts = torch.bincount(label, minlength=len(data.classes))
    if len(counts) < 2:
        raise ValueError(f"--conditional is for several classes, and {data.name} has one: leave it out")
    rare = int(counts.argmin())
    if int(counts[rare]) < 2:
        name = data.classes[rare] if rare < len(data.classes) else str(rare)
        raise ValueError(
            f'{data.name}: class "{name}" has {int(counts[rare])} training rows; a draft a class is fitted to at least two'
        )
    return len(counts)


def drafted(settings: Floats, data: DataSet) -> Drafting:
    """The draft of these settings: one for all, or one a label, which share the components of a mixture."""
    s = settings
    if not conditional(s):
        return fitted(s, data.train.x1)
    classes, x, label = number(data), data.train.x1, data.train.condition["label"]

    def fit(folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source:
        sources = []
        for value in range(classes):
            rows = x[label == value]
            components = min(-(-s.components // classes), len(rows) // 2)
            own = None if folder is None else folder / f"label-{value}"
            sources.append(fitted(replace(s, components=components), rows)(own, progress, seed))
        return ByLabel.of(sources, label)

    return fit


def told(source: Source, data: DataSet) -> Source:
    """The source with labels by the training part's shares."""
    return Labelled.of(source, data.train.condition["label"])


def within(coupling: Coupling) -> Coupling:
    """An assignment within labels; independent pairs keep labels as they are."""
    return Assignment(within="label") if isinstance(coupling, Assignment) else coupling


def guided(field: Any, settings: Settings) -> Field:
    """The field that is walked: guided where that is asked."""
    s = settings
    if not isinstance(s, Classes) or s.guidance == 1:
        return field  # type: ignore[no-any-return]
    return Guided(field, s.guidance, ("label",), s.interval)
