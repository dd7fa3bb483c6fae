"""Paths: how a pair is joined on [t0, 1]."""

from warmflow.paths.linear import LinearPath
from warmflow.paths.mixture import MixturePath

__all__ = ["LinearPath", "MixturePath"]
