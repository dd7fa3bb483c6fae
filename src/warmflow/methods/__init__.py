"""Methods: ways to generate samples. One file each; ``METHODS`` finds them by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from warmflow.discovery import classes_in
from warmflow.drafts import DRAFTS
from warmflow.methods.base import Method, Stage, settled
from warmflow.methods.parts import Parts
from warmflow.options import from_plain

__all__ = ["METHODS", "Method", "Parts", "Stage", "method_from", "settled"]

METHODS: dict[str, type[Method]] = classes_in(sys.modules[__name__], Method)  # type: ignore[type-abstract]


def method_from(told: Mapping[str, object]) -> Method:
    """The method that a run's config.json tells ("method" of what was asked).

    Raises:
        ValueError: a method of another version, or one with drafts that its run folder does not hold.
    """
    found: Method = from_plain(told, {cls.__name__: cls for cls in (*METHODS.values(), *DRAFTS.values())})
    return found
