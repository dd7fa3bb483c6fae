"""Names and numbers in words: what a reader of a report sees instead of keys and floats.

Everything here is a pure function of JSON values; a value that is missing, null or not finite becomes an en dash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from warmflow.rounding import rounded

_SOLVERS = {
    "rk4": "RK4",
    "euler": "Euler",
    "heun": "Heun",
    "adamsbashforth": "Adams–Bashforth",
    "multistepx1": "multistep x1",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NONE = "–"
DEEPEST = 8
"""Levels of nested options that are written out."""


def real(value: object) -> float | None:
    """``value`` as a finite float; None for anything else, bools included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: object, scale: float = 1.0) -> str:
    """Three significant digits of ``scale * value``; whole numbers from 1,000 on are written out in full."""
    x = real(value)
    if x is None:
        return NONE
    x *= scale
    if x == 0:
        return "0"
    if abs(x) >= 999.5:
        text = f"{x:,.0f}" if abs(x) < 1e9 else f"{x:.2e}"
    elif abs(x) >= 9.995e-4:
        text = f"{x:.3g}"
    else:
        text = f"{x:.2e}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")


def duration(value: object) -> str:
    """Seconds in the unit that suits them, from µs to hours."""
    x = real(value)
    if x is None or x < 0:
        return NONE
    if x == 0:
        return "0 s"
    for unit, size in (("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if x < (120 if unit == "s" else 999.5 * size):
            return f"{number(x / size)} {unit}"
    if x < 7200:
        return f"{int(x) // 60} min {int(x) % 60} s"
    return f"{int(x) // 3600} h {int(x) % 3600 // 60} min"


def phrase(key: str) -> str:
    """``effective_sample_size`` as "effective sample size"."""
    return re.sub(r"\.(?!\d)", " · ", key.replace("_", " "))


def solver(name: str) -> str:
    """The solver as a proper name; empty where there is none."""
    return "" if name.lower() in ("none", "-", "–") else _SOLVERS.get(name.lower(), name)


def name(method: str) -> str:
    """The label of a method in words, for one without a title: "cold-minibatch" as "cold minibatch"."""
    return method.replace("_", " ").replace("-", " ")


def calls(n: float) -> str:
    """ "1 call", "2.5 calls"; infinite and undefined numbers are an en dash."""
    return NONE if real(n) is None else "1 call" if n == 1 else f"{number(n)} calls"


def equivalent(n: float) -> str:
    """An n_eq as sentences write it, in two digits; ∞ where no number of real samples is nearer to the data."""
    if math.isnan(n):
        return NONE
    return number(n) if 1e9 <= n < math.inf else rounded(n)


def metric_name(name: str, scale: float | None = None) -> str:
    """ "MMD² on pixels × 1,000": the distance with the factor that it is shown with."""
    scale = (1000.0 if "mmd" in name.lower() else 1.0) if scale is None else scale
    known = phrase(name)
    kernel = re.match(r"mmd *(?:\^?2|²|squared)?,? *(?:on +)?(.*)$", known, flags=re.IGNORECASE)
    if kernel:
        known = f"MMD² on {kernel[1]}" if kernel[1] else "MMD²"
    known = re.sub(r"^frechet", "Fréchet", known, flags=re.IGNORECASE)
    return f"{known}{'' if scale == 1 else f' × {number(scale)}'}"


def plain(value: object, depth: int = 0) -> str:
    """An option or fact as a reader would write it: lists with commas, yes and no, null as a dash."""
    if depth > DEEPEST:
        return "…"
    match value:
        case None:
            return NONE
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return "; ".join(f"{phrase(str(k))}: {plain(v, depth + 1)}" for k, v in value.items()) or NONE
        case [*parts]:  # a list or a tuple; no text
            return ", ".join(plain(part, depth + 1) for part in parts) or NONE
    return str(value)
