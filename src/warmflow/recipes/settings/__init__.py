"""What can be set, with types, defaults and help texts. No torch here: the command line reads this page.

Every recipe is a subclass that changes defaults; ``RECIPES`` maps the names that users type. A field's help is the text
behind ``--its-name``. A setting stands with the flows that use it: what tokens have no use for, they do not take.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from warmflow.recipes.settings.distillation import Distillation
from warmflow.recipes.settings.drafts import KNOWN_DRAFTS, PIPELINE, TRAINED_DRAFTS, is_ours, is_pipeline
from warmflow.recipes.settings.every import Settings
from warmflow.recipes.settings.floats import (
    Classes,
    Custom,
    Digits,
    Drafted,
    Floats,
    Toy,
    interval_of,
    of_floats,
    scale_of,
)
from warmflow.recipes.settings.images import Cifar10, Emoji, Fashion, Folder, Images, OwnImages
from warmflow.recipes.settings.options import flag, suggest, typed
from warmflow.recipes.settings.priors import LeDiFlow, LeDiFlowCifar10, LeDiFlowFashion, Prior
from warmflow.recipes.settings.restoration import Degraded, Denoising, Pairs, Restoration, SuperResolution
from warmflow.recipes.settings.tokens import Grid, Text, TextFile

__all__ = [
    "KNOWN_DRAFTS", "OWN", "PIPELINE", "RECIPES", "TRAINED_DRAFTS", "Cifar10", "Classes", "Custom", "Degraded", "Denoising",
    "Digits", "Distillation", "Drafted", "Emoji", "Fashion", "Floats", "Folder", "Grid", "Images", "LeDiFlow",
    "LeDiFlowCifar10", "LeDiFlowFashion", "OwnImages", "Pairs", "Prior", "Restoration", "Settings", "SuperResolution", "Text",
    "TextFile", "Toy", "distillation_of", "flag", "interval_of", "is_ours", "is_pipeline", "of_floats", "scale_of",
    "settings_of", "suggest",
]  # fmt: skip

RECIPES: dict[str, type[Settings]] = {
    "toy.moons": Toy,
    "toy.eight_gaussians": Toy,
    "toy.checkerboard": Toy,
    "toy.grid": Grid,
    "images.digits": Digits,
    "images.fashion": Fashion,
    "images.cifar10": Cifar10,
    "images.emoji": Emoji,
    "lediflow.digits": LeDiFlow,
    "lediflow.fashion": LeDiFlowFashion,
    "lediflow.cifar10": LeDiFlowCifar10,
    "images.super_resolution": SuperResolution,
    "images.denoising": Denoising,
    "images.pairs": Pairs,
    "images.folder": Folder,
    "text.characters": Text,
    "text.file": TextFile,
}
OWN: dict[str, type[Settings]] = {"custom": Custom, "custom.images": OwnImages}
"""What the user's own data are set by; the recipe of both is called "custom"."""


def distillation_of(**changes: Any) -> Distillation:
    """The checked settings of a distillation; ValueError as ``settings_of``."""
    fields = {f.name: f for f in dataclasses.fields(Distillation)}
    for name, value in changes.items():
        if name not in fields:
            raise ValueError(f"distilling has no setting {name!r}; {suggest(name, list(fields))}")
        changes[name] = typed("distilling", name, value, fields[name].default)
    settings = Distillation(**changes)
    settings.check()
    return settings


def settings_of(recipe: str, **changes: Any) -> Settings:
    """The checked settings of a recipe with some of them changed.

    Raises:
        ValueError: an unknown recipe or setting, a value of another type or out of its range.
    """
    kind = OWN.get(recipe) or RECIPES.get(recipe)
    if kind is None:
        raise ValueError(f"recipe {recipe!r} is unknown; {suggest(recipe, list(RECIPES))}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name, value in changes.items():
        if name not in fields:
            own = recipe.removesuffix(".images") if recipe in OWN else recipe
            raise ValueError(f"{own} has no setting {name!r}; {suggest(name, list(fields))}")
        changes[name] = typed(recipe, name, value, fields[name].default)
    settings = kind(**changes)
    settings.check()
    return settings
