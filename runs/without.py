"""A draft that never saw some classes: what a warm start makes of a draft that lacks a part of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from warmflow.contracts import Source
from warmflow.drafts import Draft, Place
from warmflow.options import nested, options
from warmflow.setup import Setup


@options
class Without(Draft):
    """A draft that is fitted to all classes but some."""

    name: ClassVar[str] = "without"
    inner: Draft
    """The draft that is fitted."""
    classes: tuple[int, ...]
    """The classes that it does not see."""

    def asked(self) -> dict[str, object]:
        return {"class": "Without", "inner": nested(self.inner), "classes": list(self.classes)}

    def fits(self, setup: Setup) -> str:
        if "label" not in setup.data.train.condition:
            return f"classes are left out of data with labels, and {setup.name} has none"
        return self.inner.fits(setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        train = setup.data.train
        kept = ~torch.isin(train.condition["label"], torch.tensor(self.classes))
        few = replace(setup.data, train=replace(train[kept.nonzero().flatten()], condition={}), whole=None)
        return self.inner.fit(replace(setup, data=few), place)
