"""How a pair is joined on [t0, 1]."""

from warmflow.paths.linear import LinearPath

__all__ = ["LinearPath"]
