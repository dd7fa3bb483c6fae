"""Texts in a report: each draft with what became of it below, changed symbols marked; then the texts of the other methods.

Pictures of a token run are (n, L) integers; the symbols they stand for are in the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warmflow.report import picture_names, roles, words
from warmflow.report.folder import Run

SHOWN = 6


def text(run: Run, tokens: Sequence[int]) -> str:
    """The symbols of tokens (L,). A token without a symbol (a mask) is an underscore."""
    return "".join(run.symbols[i] if 0 <= i < len(run.symbols) else "_" for i in tokens)


def marked(run: Run, tokens: np.ndarray, before: np.ndarray | None = None) -> list[tuple[str, bool]]:
    """The text of tokens (L,) in stretches, each with whether its symbols differ from ``before`` (L,)."""
    symbols = text(run, tokens.tolist())
    if before is None:
        return [(symbols, False)]
    out, changed, i = [], tokens != before, 0
    while i < len(tokens):
        j = i
        while j < len(tokens) and changed[j] == changed[i]:
            j += 1
        part, marks = symbols[i:j], bool(changed[i])
        out.append((part.replace(" ", "\N{NO-BREAK SPACE}") if marks else part, marks))
        i = j
    return out


@dataclass(frozen=True)
class Lines:
    """A caption and the texts below it, each in stretches of (text, whether it is marked)."""

    caption: str
    texts: tuple[list[tuple[str, bool]], ...]


def drafts_of(run: Run, candidate: str) -> str | None:
    """The name of the picture with the drafts that a candidate's texts started from; None if the run has no such picture."""
    start = roles.start_of(run.verdict, candidate)
    own = [f"{candidate}.start", *((f"{start.name}.0", start.name) if start else ())]
    shared = ["draft"] if next(iter(run.verdict.candidates), candidate) == candidate else []
    return next((n for n in (*own, *shared) if n in run.pictures), None)


def _refined(run: Run, shown: Sequence[str]) -> dict[str, list[str]]:
    """By the picture of the drafts, the pictures of what candidates made of them."""
    found: dict[str, list[str]] = {}
    for name in shown:
        it = picture_names.shown(run, name)
        method = run.verdict.method(it.method)
        before = drafts_of(run, it.method) if method is not None and method.role == "candidate" else None
        if before is not None and it.steps is not None and len(run.pictures[before]) >= len(run.pictures[name]):
            found.setdefault(before, []).append(name)
    return found


def side_by_side(run: Run) -> list[list[Lines]]:
    """Blocks of texts: one for each draft with what became of it, then the methods that start from none. Empty for other data."""
    if not run.symbols:
        return []
    shown = picture_names.names(run, "texts")
    refined, blocks = _refined(run, shown), []
    for draft, names in refined.items():
        for i in range(min(SHOWN, *(len(run.pictures[n]) for n in names))):
            before = np.asarray(run.pictures[draft][i])
            block = [Lines(picture_names.caption(run, draft), (marked(run, before),))]
            for name in names:
                tokens = np.asarray(run.pictures[name][i])
                share = words.number(float((tokens != before).mean()), 100)
                said = f"{picture_names.caption(run, name)} · {share} % changed"
                block.append(Lines(said, (marked(run, tokens, before),)))
            blocks.append(block)
    taken = {*refined, *(n for names in refined.values() for n in names)}
    others = [n for n in shown if n not in taken]
    if others:
        rows = {n: tuple(marked(run, row) for row in np.asarray(run.pictures[n])[:SHOWN]) for n in others}
        blocks.append([Lines(picture_names.caption(run, n), rows[n]) for n in others])
    return blocks
