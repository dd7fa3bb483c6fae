"""What a draft model is: options, and one function that fits or trains it and returns a source.

A draft is an options class in a file of its own. It is found by its name ("mixture") and needs no registration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from warmflow.contracts import Batch, Source
from warmflow.options import changed, plain
from warmflow.setup import Setup, classes_of
from warmflow.sources import ByLabel


@dataclass(frozen=True)
class Place:
    """Where a part of a training seed is made.

    Args:
        folder: where a trained part keeps its checkpoint and is read from when it is complete; None to keep nothing.
        seed: the training seed.
        progress: whether a progress bar is shown.
    """

    folder: Path | None = None
    seed: int = 0
    progress: bool = False

    def within(self, name: str) -> Place:
        """The same in a subfolder."""
        return self if self.folder is None else replace(self, folder=self.folder / name)

    def bar(self, label: str) -> str | None:
        """The label of a progress bar; None for no bar."""
        return label if self.progress else None


class Draft(ABC):
    """A draft model's options."""

    name: ClassVar[str]
    given: ClassVar[bool] = False
    """Whether its samples are the user's own, the same for every training seed."""
    answers: ClassVar[bool] = False
    """Whether a draft is made from the input that the sample answers."""

    @abstractmethod
    def fits(self, setup: Setup) -> str:
        """Empty where it can be fitted to this problem, else one sentence that says why not."""

    @abstractmethod
    def fit(self, setup: Setup, place: Place) -> Source:
        """Fits, trains or fetches the draft on the training data.

        Raises:
            ValueError: impossible options for these data.
        """

    def given_pairs(self, setup: Setup) -> Batch | None:
        """The training data with the drafts that were brought for it, one for each sample; None where there are none."""
        return None

    def warning(self, setup: Setup) -> str:
        """What is odd about the drafts; empty for nothing."""
        return ""

    def asked(self) -> dict[str, Any]:
        """The draft as JSON."""
        return {"class": type(self).__name__, **plain(self)}

    def of_class(self, classes: int, rows: int) -> Draft:
        """The options of the draft of one class of several."""
        return self

    def stand_in(self, setup: Setup) -> Source | None:
        """A source that costs what the draft does and needs no training; None where the draft itself needs none."""
        return None


def fitted(draft: Draft, setup: Setup, place: Place) -> Source:
    """The draft of a problem: one for all, or one for each label where flows are given the label.

    Raises:
        ValueError: what ``Draft.fits`` and ``Draft.fit`` say.
    """
    why = draft.fits(setup)
    if why:
        raise ValueError(why)
    if not setup.training.conditional or draft.answers:
        return draft.fit(setup, place)
    if draft.given:
        raise ValueError(
            "conditional fits a draft to each class, and drafts of your own have none: leave one of the two out"
        )
    classes, train = classes_of(setup.data), setup.data.train
    label, sources = train.condition["label"], []
    for value in range(classes):
        rows = (label == value).nonzero().flatten()
        few = replace(train[rows], condition={})
        part = replace(setup, data=replace(setup.data, train=few, whole=None), training=changed(setup.training, PLAIN))
        sources.append(draft.of_class(classes, len(rows)).fit(part, place.within(f"label-{value}")))
    return ByLabel.of(sources, label)


PLAIN = {"conditional": False, "guidance": 1.0, "guidance_interval": ""}
