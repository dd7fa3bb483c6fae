"""Characters of a text, in windows: the embedded prose, or the user's own text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from warmflow.data import DataSet
from warmflow.data.text import text
from warmflow.options import Count, Whole, options
from warmflow.problems.base import Problem
from warmflow.setup import Build, Training, token_network


@options
class Text(Problem):
    """Windows of a text."""

    name: ClassVar[str] = "text"
    network: ClassVar[str] = "transformer"
    draft: ClassVar[str] = "ngram"
    marks: ClassVar[frozenset[str]] = frozenset({"texts"})
    training: ClassVar[Mapping[str, object]] = {"width": 128, "depth": 3, "batch": 64, "learning_rate": 1e-3}
    space: ClassVar[Literal["floats", "tokens"]] = "tokens"
    path: str = ""
    """A text file, a folder of .txt files, or a .tar of them; by default the embedded prose."""
    alphabet: Literal["text8", "full"] = "text8"
    """27 symbols (text8), or the text's own (full)."""
    length: Annotated[Count, Field(ge=2)] = 64
    """Symbols in a window."""
    most: Whole = 0
    """The largest number of training windows; 0 for all."""

    def load(self) -> DataSet:
        return text(self.path or "embedded", length=self.length, alphabet=self.alphabet, most=self.most)

    def values(self, data: DataSet) -> Mapping[str, object]:
        return {"pairing": "rewritten", "rounds": 8, "block": 1024, "writer": 6}

    def build(self, training: Training, data: DataSet) -> Build:
        return token_network(training, data.vocabulary, 0)
