"""Settings of flows of tokens: a toy on a grid, characters of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from warmflow.recipes.settings.drafts import TOKEN_DRAFTS
from warmflow.recipes.settings.every import Settings
from warmflow.recipes.settings.options import flag, option
from warmflow.recipes.settings.plane import Plane

TOKEN_PAIRINGS = (
    "rewritten", "resampled", "maximal", "hamming-datum", "hamming-draft", "hamming-assignment", "independent", "given"
)  # fmt: skip
GRID_LAWS = ("moons", "eight_gaussians", "checkerboard")
WEIGHTINGS = ("cross_entropy", "generalised_kl")
ALPHABETS = ("text8", "full")


@dataclass(frozen=True)
class Grid(Plane, Settings):
    """A toy on a grid: a point is two tokens."""

    law: str = option("moons", "which toy", GRID_LAWS)
    levels: int = option(128, "cells an axis")
    power: float = option(1.0, "the schedule k(t) = t^power; 1 is linear")
    weighting: str = option("cross_entropy", "what the flow is trained on", WEIGHTINGS)
    draft: str = option("jittered", "the draft model", ("jittered", "uniform"))
    learning_rate: float = option(1e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    width: int = option(96, "width of the network")
    depth: int = option(2, "blocks of the network")
    heads: int = option(4, "attention heads of the network")

    def check(self) -> None:
        Settings.check(self)
        self.check_plane()
        _tokens(self)
        if self.levels < 8:
            raise ValueError(f"--levels is {self.levels}; a grid has a whole number of at least 8")


@dataclass(frozen=True)
class Text(Settings):
    """Characters of a text, in windows."""

    path: str = option("", "a text file, a folder of .txt files, or a .tar of them")
    alphabet: str = option("text8", "27 symbols (text8), or the text's own (full)", ALPHABETS)
    length: int = option(64, "symbols in a window")
    most: int = option(0, "the largest number of training windows; 0 for all")
    draft: str = option("ngram", "the draft model", TOKEN_DRAFTS)
    order: int = option(3, "order of an n-gram draft")
    draft_updates: int = option(2000, "updates of an LSTM draft")
    pairing: str = option("rewritten", "how drafts are paired with data", TOKEN_PAIRINGS)
    writer: int = option(6, "order of the n-gram model that rewrites, resamples, or stands for the data")
    strength: float = option(4.0, "how much each changed symbol costs where drafts are rewritten or data resampled")
    power: float = option(1.0, "the schedule k(t) = t^power; 1 is linear")
    weighting: str = option("cross_entropy", "what the flow is trained on", WEIGHTINGS)
    learning_rate: float = option(1e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    width: int = option(128, "width of the network")
    depth: int = option(3, "blocks of the network")
    heads: int = option(4, "attention heads of the network")
    rounds: int = option(8, "fresh drafts paired with every datum")
    block: int = option(1024, "rows paired at once")
    batch: int = option(64, "rows in one update")

    def check(self) -> None:
        Settings.check(self)
        _tokens(self)
        for name in ("length", "order", "writer", "draft_updates"):
            least = 2 if name == "length" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it is a whole number of at least {least}")
        if self.most < 0:
            raise ValueError(f"--most is {self.most}; a number of windows, or 0 for all")
        if self.strength < 0:
            raise ValueError(f"--strength is {self.strength}; a changed symbol costs 0 or more")


@dataclass(frozen=True)
class TextFile(Text):
    """The user's own text."""

    def check(self) -> None:
        Text.check(self)
        if not self.path:
            raise ValueError("--path is missing; text.file needs a text file, or a folder of .txt files")


def _tokens(s: Any) -> None:
    """What settings of token flows share."""
    if s.power <= 0:
        raise ValueError(f"--power is {s.power}; the schedule k(t) = t^power needs a positive one, 1 is linear")
    if s.heads < 1 or s.width % (2 * s.heads):
        raise ValueError(f"--width is {s.width} and --heads {s.heads}; the width must be a multiple of twice the heads")
