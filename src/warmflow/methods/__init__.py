"""Methods: ways to generate samples. One file each; ``METHODS`` finds them by name."""

from __future__ import annotations

import sys

from warmflow.discovery import classes_in
from warmflow.methods.base import Method, Stage, settled
from warmflow.methods.parts import Parts

__all__ = ["METHODS", "Method", "Parts", "Stage", "settled"]

METHODS: dict[str, type[Method]] = classes_in(sys.modules[__name__], Method)  # type: ignore[type-abstract]
