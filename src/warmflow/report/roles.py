"""What follows from a method's role: its place in the order, its colour and its line.

    candidate    warm hues, a thick line        control    the colour of its candidate, dashed
    baseline     cool hues                      start      greens, dotted: it has no calls, so it is a level
    shown        muted colours

The first colours of a role were chosen to differ for readers with deuteranopia and protanopia as well, and to stand out from
white and from dark pages. Each further method gets a colour made from its number, and methods of one role also differ by marker.
Nothing follows from a method's name.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warmflow.report.verdict import Method, Verdict

REAL = "#868e96"
START = "#2f9e44"
MARKERS = ("o", "s", "D", "v", "P", "X", "p", "h")
"""Shapes of points, by the number of the method within its role; ^ is kept for values beyond the axis."""
ORDER = ("baseline", "candidate", "control", "shown", "start")
"""Roles in the order in which legends and panels list them; methods without a known role come last."""
OTHER = "shown"


@dataclass(frozen=True)
class Hues:
    """Colours of a role: chosen ones first, then made ones from ``low`` to ``high`` degrees."""

    chosen: tuple[str, ...]
    low: float
    high: float
    saturation: float = 0.75

    def at(self, i: int) -> str:
        """The colour of the i-th method of the role."""
        if i < len(self.chosen):
            return self.chosen[i]
        k = i - len(self.chosen)
        hue = self.low + (self.high - self.low) * _spread(k + 1)
        rgb = colorsys.hls_to_rgb(hue / 360 % 1, (0.44, 0.54, 0.38)[k % 3], self.saturation)
        return "#" + "".join(f"{round(255 * c):02x}" for c in rgb)


HUES: Mapping[str, Hues] = {
    "candidate": Hues(("#e8590c", "#c2255c", "#fd538f", "#905438"), -35, 45),
    "baseline": Hues(("#3b82d0", "#43a2af", "#484edb", "#8b5cf6"), 185, 275),
    "start": Hues((START, "#66a80f", "#087f5b"), 85, 165),
    "shown": Hues((), 0, 360, 0.2),
}


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    marker: str = "o"
    dashed: bool = False


NEUTRAL = Look(REAL)


def _spread(k: int) -> float:
    """The k-th number of the base-2 van der Corput sequence: 1/2, 1/4, 3/4, 1/8, ... of [0, 1)."""
    found, part = 0.0, 0.5
    while k:
        found, part, k = found + part * (k % 2), part / 2, k // 2
    return found


def looks(verdict: Verdict, others: Iterable[str] = ()) -> dict[str, Look]:
    """The look of each method of a report, and of ``others`` that the verdict does not know. It depends on the verdict alone, so
    that every figure of a report agrees."""
    found: dict[str, Look] = {}
    seen = dict.fromkeys(HUES, 0)

    def add(name: str, role: str) -> None:
        i = seen[role]
        seen[role] += 1
        found[name] = Look(HUES[role].at(i), MARKERS[i % len(MARKERS)])

    controls = [m for m in verdict.methods if m.role == "control"]
    for method in verdict.methods:
        if method.role != "control":
            add(method.name, method.role if method.role in HUES else OTHER)
    for method in controls:
        of = found.get(method.of)
        if of is None:
            add(method.name, OTHER)
        found[method.name] = Look((of or found[method.name]).colour, "o", True)
    for name in others:
        if name not in found:
            add(name, OTHER)
    return found


def place(verdict: Verdict, name: str) -> tuple[int, int, str]:
    """A sorting key: by role, then in the order of the verdict; names that it does not know come last."""
    method = verdict.method(name)
    if method is None:
        return len(ORDER), 0, name
    role = ORDER.index(method.role) if method.role in ORDER else len(ORDER)
    return role, verdict.methods.index(method), name


def start_of(verdict: Verdict, candidate: str) -> Method | None:
    """What a candidate starts from; None where that is noise."""
    return next((m for m in verdict.named("start") if m.of == candidate), None)
