"""Texts in a report: each draft with what became of it below, changed symbols marked; then cold and real texts.

Pictures of a token run are (n, L) integers; the symbols they stand for are in the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warmflow.report import words
from warmflow.report.folder import Run
from warmflow.report.pictures import picture_caption

SHOWN = 6
ORDER = ("draft", "warm", "cold", "cold_masked", "real")


def text(run: Run, tokens: Sequence[int]) -> str:
    """The symbols of tokens (L,); what has none (a mask) is an underscore."""
    return "".join(run.symbols[i] if 0 <= i < len(run.symbols) else "_" for i in tokens)


def marked(run: Run, tokens: np.ndarray, before: np.ndarray | None = None) -> list[tuple[str, bool]]:
    """The text of tokens (L,) in runs, each with whether its symbols differ from ``before`` (L,)."""
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


def names(run: Run) -> list[str]:
    """The pictures that are texts, drafts first, then warm by rising steps, cold, real."""

    def key(name: str) -> tuple[int, int]:
        head, _, tail = name.partition(".")
        return (ORDER.index(head) if head in ORDER else len(ORDER), int(tail) if tail.isdigit() else 0)

    found = [n for n, x in run.pictures.items() if x.ndim == 2 and x.dtype.kind in "iu" and len(x)]
    return sorted((n for n in found if n.split(".")[0] in ORDER), key=key)


@dataclass(frozen=True)
class Lines:
    """A caption and the texts below it, each in runs of (text, whether it is marked)."""

    caption: str
    texts: tuple[list[tuple[str, bool]], ...]


def side_by_side(run: Run, most: int = SHOWN) -> list[list[Lines]]:
    """Blocks of texts: one a draft with what became of it, then the methods that start from none. Empty for other data."""
    if not run.symbols:
        return []
    shown = names(run)
    refined = [n for n in shown if n == "draft" or n.startswith("warm.")]
    blocks = []
    drafts = run.pictures.get("draft")
    if drafts is not None and len(refined) > 1:
        for i in range(min(most, len(drafts))):
            block = []
            for name in refined:
                tokens, before = np.asarray(run.pictures[name][i]), None if name == "draft" else np.asarray(drafts[i])
                share = "" if before is None else f" · {words.number(float((tokens != before).mean()), 100)} % changed"
                block.append(Lines(picture_caption(run, name) + share, (marked(run, tokens, before),)))
            blocks.append(block)
    others = [n for n in shown if n not in refined or len(refined) < 2]
    if others:
        rows = {n: tuple(marked(run, row) for row in np.asarray(run.pictures[n])[:most]) for n in others}
        blocks.append([Lines(picture_caption(run, n), rows[n]) for n in others])
    return blocks
