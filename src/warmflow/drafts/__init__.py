"""Draft models: cheap generators that a warm start refines. One file each; ``DRAFTS`` finds them by name."""

from __future__ import annotations

import sys
from functools import singledispatch

from warmflow.discovery import classes_in
from warmflow.drafts.base import Draft, Place, fitted
from warmflow.drafts.noise import NoDraft
from warmflow.drafts.own import Own
from warmflow.drafts.pipeline import Pipeline
from warmflow.options import suggestion

__all__ = ["DRAFTS", "Draft", "NoDraft", "Own", "Pipeline", "Place", "draft_of", "fitted"]

DRAFTS: dict[str, type[Draft]] = classes_in(sys.modules[__name__], Draft)  # type: ignore[type-abstract]


@singledispatch
def draft_of(given: object) -> Draft:
    """Converts a user's argument to a ``Draft``.

    Args:
        given: a ``Draft``, the name of one, "diffusers:PATH", the path of a file or folder of drafts, a callable
            draft(n, seed), or an array.

    Raises:
        ValueError: a string that is neither the name of a draft nor a path.
    """
    return Own(samples=given)


@draft_of.register
def _(given: Draft) -> Draft:
    return given


@draft_of.register
def _(given: str) -> Draft:
    if given.startswith("diffusers:") and len(given) > len("diffusers:"):
        return Pipeline(path=given.removeprefix("diffusers:"))
    if given in DRAFTS:
        return DRAFTS[given]()
    if "/" not in given and "." not in given:
        raise ValueError(
            f"the draft {given!r} is neither a known draft nor a file or folder; {suggestion(given, DRAFTS)}"
        )
    return Own(samples=given)
