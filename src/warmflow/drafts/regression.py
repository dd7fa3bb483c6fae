"""Drafts for samples that answer an input: a regression on the input, or the input itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from warmflow.contracts import Player, Source
from warmflow.drafts.base import Draft, Place
from warmflow.drafts.trained import trained_part
from warmflow.objectives import Regression as Regress
from warmflow.options import Count, options, plain
from warmflow.setup import Setup
from warmflow.sources import Restored


def _inputs(draft: Draft, setup: Setup) -> Tensor:
    if setup.inputs is None:
        raise ValueError(f"the draft {draft.name!r} needs inputs, and samples of {setup.name} have none")
    return setup.inputs


def _why(draft: Draft, setup: Setup) -> str:
    return "" if setup.inputs is not None else f"the draft {draft.name!r} is for samples that answer an input"


@options
class Regression(Draft):
    """The conditional mean E[sample | input], by a network of the same size as the flow."""

    name: ClassVar[str] = "regression"
    answers: ClassVar[bool] = True
    updates: Count = 1000
    """Number of training updates of the regression."""

    def fits(self, setup: Setup) -> str:
        return _why(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        inputs, t = _inputs(self, setup), setup.training
        network = setup.build(setup.shape, {}, place.seed)
        asked = {"kind": "draft", "draft": plain(self), "training": plain(t), "problem": dict(setup.asked)}

        def finished(trained: nn.Module) -> Restored:
            return Restored(trained.requires_grad_(False), inputs)

        found: Source = trained_part(
            Regress(network, Player(network, t.learning_rate, ema=t.ema)), setup.data.train, finished, asked,
            steps=self.updates, batch=min(t.batch, len(setup.data.train)), seed=place.seed, folder=place.folder,
            progress=place.bar("regression"),
        )  # fmt: skip
        return found

    def stand_in(self, setup: Setup) -> Source | None:
        return Restored(setup.build(setup.shape, {}, 0), _inputs(self, setup))


@options
class Input(Draft):
    """The input itself, which must have the shape of the samples."""

    name: ClassVar[str] = "input"
    answers: ClassVar[bool] = True

    @property
    def is_input(self) -> bool:
        return True

    def fits(self, setup: Setup) -> str:
        if setup.inputs is not None and setup.inputs.shape[1:] != setup.shape:
            return f"the draft 'input' needs inputs of the samples' shape {setup.shape}; they are {tuple(setup.inputs.shape[1:])}"
        return _why(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        return Restored(None, _inputs(self, setup))
