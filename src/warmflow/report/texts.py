"""Texts in a report: each draft with what became of it below, changed symbols marked; then cold and real texts.

Pictures of a token run are (n, L) integers; the symbols they stand for are in the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warmflow.report import words
from warmflow.report.folder import Run
from warmflow.report.pictures import picture_caption
from warmflow.report.words import escape

SHOWN = 6
ORDER = ("draft", "warm", "cold", "cold_masked", "real")


def text(run: Run, tokens: Sequence[int]) -> str:
    """The symbols of tokens (L,); what has none (a mask) is an underscore."""
    return "".join(run.symbols[i] if 0 <= i < len(run.symbols) else "_" for i in tokens)


def marked(run: Run, tokens: np.ndarray, before: np.ndarray) -> str:
    """The text of tokens (L,) in HTML, every run of symbols that differ from ``before`` (L,) marked."""
    out, symbols = [], text(run, tokens.tolist())
    changed = tokens != before
    i = 0
    while i < len(tokens):
        j = i
        while j < len(tokens) and changed[j] == changed[i]:
            j += 1
        part = escape(symbols[i:j]).replace(" ", "&nbsp;") if changed[i] else escape(symbols[i:j])
        out.append(f"<mark>{part}</mark>" if changed[i] else part)
        i = j
    return "".join(out)


def names(run: Run) -> list[str]:
    """The pictures that are texts, drafts first, then warm by rising steps, cold, real."""

    def key(name: str) -> tuple[int, int]:
        head, _, tail = name.partition(".")
        return (ORDER.index(head) if head in ORDER else len(ORDER), int(tail) if tail.isdigit() else 0)

    found = [n for n, x in run.pictures.items() if x.ndim == 2 and x.dtype.kind in "iu" and len(x)]
    return sorted((n for n in found if n.split(".")[0] in ORDER), key=key)


def side_by_side(run: Run, most: int = SHOWN) -> str:
    """The section's HTML; empty where the run holds no texts."""
    if not run.symbols:
        return ""
    shown = names(run)
    refined = [n for n in shown if n == "draft" or n.startswith("warm.")]
    parts = []
    drafts = run.pictures.get("draft")
    if drafts is not None and len(refined) > 1:
        for i in range(min(most, len(drafts))):
            lines = ""
            for name in refined:
                tokens = np.asarray(run.pictures[name][i])
                share = (
                    "" if name == "draft" else f" · {words.number(float((tokens != drafts[i]).mean()), 100)} % changed"
                )
                body = (
                    escape(text(run, tokens.tolist()))
                    if name == "draft"
                    else marked(run, tokens, np.asarray(drafts[i]))
                )
                lines += f"<dt>{escape(picture_caption(run, name) + share)}</dt><dd><code>{body}</code></dd>"
            parts.append(f'<dl class="text">{lines}</dl>')
    others = [n for n in shown if n not in refined or len(refined) < 2]
    lines = ""
    for name in others:
        rows = "<br>".join(escape(text(run, row.tolist())) for row in np.asarray(run.pictures[name])[:most])
        lines += f"<dt>{escape(picture_caption(run, name))}</dt><dd><code>{rows}</code></dd>"
    beside = f'<dl class="text">{lines}</dl>' if lines else ""
    note = '<p class="soft">None chosen by hand. What a walk changed of its draft is marked.</p>'
    return note + "".join(parts) + beside
