"""Base class of draft models: options, and a method that fits or trains the model and returns a source.

A draft model is an options class in its own file. It is found by its name ("mixture") without registration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from warmflow.contracts import Batch, Source
from warmflow.options import changed, plain
from warmflow.setup import Setup, classes_of
from warmflow.sources import ByLabel


@dataclass(frozen=True)
class Place:
    """Where and how a part of a method is trained for one training seed.

    Args:
        folder: folder of the part's checkpoints, from which a complete part is read; None to store nothing.
        seed: the training seed.
        progress: whether to show a progress bar.
    """

    folder: Path | None = None
    seed: int = 0
    progress: bool = False

    def within(self, name: str) -> Place:
        """The same place with a subfolder of this name."""
        return self if self.folder is None else replace(self, folder=self.folder / name)

    def bar(self, label: str) -> str | None:
        """The label of a progress bar; None for no bar."""
        return label if self.progress else None


class Draft(ABC):
    """Options of a draft model."""

    name: ClassVar[str]
    given: ClassVar[bool] = False
    """Whether the drafts are provided by the user, and thus the same for every training seed."""
    answers: ClassVar[bool] = False
    """Whether a draft is computed from the input that the sample answers."""

    noise: ClassVar[bool] = False
    """Whether it is noise in place of a draft, for controls."""

    @abstractmethod
    def fits(self, setup: Setup) -> str:
        """An empty string if the draft can be fitted to this problem, else one sentence with the reason."""

    @abstractmethod
    def fit(self, setup: Setup, place: Place) -> Source:
        """Fits, trains or loads the draft model for the training data.

        Raises:
            ValueError: options that are invalid for these data.
        """

    @property
    def is_input(self) -> bool:
        """Whether the draft is the input itself."""
        return False

    def aligned_with_data(self) -> Draft:
        """This draft model; drafts that the user provides are then read as one for each data point, in the order of the data."""
        return self

    def digest(self) -> str:
        """Sixteen hexadecimal digits of the bytes of the user's files; empty where there are none."""
        return ""

    def given_pairs(self, setup: Setup) -> Batch | None:
        """The training data with one user-provided draft for each sample; None if there are none."""
        return None

    def warning(self, setup: Setup) -> str:
        """A warning about the drafts; empty for none."""
        return ""

    def asked(self) -> dict[str, object]:
        """The draft's class and options as JSON values, for config.json."""
        return {"class": type(self).__name__, **plain(self)}

    def of_class(self, classes: int, rows: int) -> Draft:
        """The options for the draft of one of several classes, which has this number of training rows."""
        return self

    def stand_in(self, setup: Setup) -> Source | None:
        """An untrained source with the same cost per sample, for time estimates; None if the draft needs no training."""
        return None


def fitted(draft: Draft, setup: Setup, place: Place) -> Source:
    """Fits a draft to a problem: one for all data, or one for each label if flows are conditional.

    Raises:
        ValueError: the draft does not fit the problem, or its options are invalid (``Draft.fits``, ``Draft.fit``).
    """
    why = draft.fits(setup)
    if why:
        raise ValueError(why)
    if not setup.training.conditional or draft.answers:
        return draft.fit(setup, place)
    if draft.given:
        raise ValueError(
            "conditional fits a draft to each class, which is impossible for your own drafts: leave one of the two out"
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
