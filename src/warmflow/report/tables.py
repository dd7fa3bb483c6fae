"""Tables as plain values. A template draws them: it escapes every text and keeps the full number beside the rounded one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from warmflow.report import words
from warmflow.report.verdict import Interval


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number that the text rounds, a lighter text after it, its CSS class."""

    text: str
    value: float | None = None
    soft: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A row of cells, or the title of a group of rows."""

    cells: tuple[Cell, ...] = ()
    title: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    kind: str = "rows"
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each heading with its alignment: text to the left, numbers to the right."""
        cells = next((line.cells for line in self.lines if line.cells), ())
        sides = ["left" if c.kind.startswith("left") else "" for c in cells]
        return list(zip(self.head, sides, strict=False))


def numeric(value: object, text: str | None = None, soft: str = "", kind: str = "") -> Cell:
    """A number in full with its rounded text; infinite and undefined ones have a text only."""
    return Cell(words.number(value) if text is None else text, words.real(value), soft, kind)


def left(text: str, kind: str = "") -> Cell:
    return Cell(text, kind=f"left {kind}".strip())


def table(head: Sequence[str], lines: Iterable[Line], kind: str = "rows", note: str = "") -> Table | None:
    """A table, or None without lines."""
    found = tuple(lines)
    return Table(tuple(head), found, kind, note) if found else None


def facts(given: Mapping[str, object]) -> Table | None:
    """Two columns: names and what they are."""
    return table(
        (), (Line((Cell(words.phrase(str(k))), Cell(words.plain(v), words.real(v)))) for k, v in given.items()), "facts"
    )


def calls_cell(n: float) -> Cell:
    return Cell("none measured") if n == math.inf else numeric(n)


def spread(value: Interval, scale: float = 1.0) -> str:
    """ "0.2 to 0.4"; empty without an interval."""
    if math.isnan(value.low) and math.isnan(value.high):
        return ""
    return f"{words.number(value.low, scale)} to {words.number(value.high, scale)}"


def equivalent(value: Interval) -> str:
    """ "200 to ∞"; empty without an interval."""
    return "" if math.isnan(value.low) else f"{words.equivalent(value.low)} to {words.equivalent(value.high)}"
