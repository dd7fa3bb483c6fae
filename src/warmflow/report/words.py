"""Names and numbers in words: what a reader of a report sees instead of keys and floats.

Everything here is a pure function of JSON values; a value that is missing, null or not finite becomes an en dash.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

ARMS = (
    "real", "draft", "prior", "cold", "cold_assigned", "cold_whole", "cold_masked", "teacher", "reflow", "warm", "noise",
    "lediflow", "lediflow_mean", "student",
)  # fmt: skip
"""The order in which methods are shown."""

_ARM_NAMES = {
    "real": "real against real",
    "draft": "draft alone",
    "cold": "cold (independent pairs)",
    "cold_assigned": "cold (assigned pairs)",
    "cold_whole": "cold (whole-set assignment)",
    "cold_masked": "cold (masked start)",
    "warm": "warm",
    "noise": "warm recipe from noise",
    "prior": "learned prior alone",
    "lediflow": "LeDiFlow",
    "lediflow_mean": "LeDiFlow from the mean",
    "teacher": "teacher",
    "reflow": "reflow of the teacher",
    "student": "student",
}
STARTS = {
    "warm": "Warm: the flow starts from a draft, a sample of a cheap model.",
    "lediflow": "LeDiFlow: the flow starts from a learned prior, a mean and a spread for each pixel that a small network makes.",
    "student": "Student: one call, distilled from the teacher.",
    "cold": "Cold: the flow starts from noise.",
    "noise": "Warm from noise: the warm recipe, pairing included, with noise in place of the draft.",
}
"""What methods are, for a reader who has read nothing else."""
PAIRS = (
    "Pairs say which start is trained towards which training sample: drawn at random (independent), or matched so that the total "
    "distance is least, within each minibatch or over the whole training set."
)
_SOLVERS = {
    "rk4": "RK4",
    "euler": "Euler",
    "heun": "Heun",
    "adamsbashforth": "Adams–Bashforth",
    "multistepx1": "multistep x1",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NONE = "–"


def escape(value: Any) -> str:
    """``value`` as text that is safe in HTML, attributes included."""
    return html.escape(str(value), quote=True)


def real(value: Any) -> float | None:
    """``value`` as a finite float, or None if it is none (bools are no numbers)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: Any, scale: float = 1.0) -> str:
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


def duration(value: Any) -> str:
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


def arm(name: str) -> str:
    """The full name of a method; one that is not known is shown as it is."""
    return _ARM_NAMES.get(name, phrase(name))


def solver(name: Any) -> str:
    """The solver as a proper name; empty where there is none."""
    if not name or str(name).lower() in ("none", "-", "–"):
        return ""
    text = str(name)
    return _SOLVERS.get(text.lower(), text)


def order(name: str) -> tuple[int, str]:
    """A sorting key that puts known methods in their order and others after them."""
    return (ARMS.index(name) if name in ARMS else len(ARMS), name)


def name(method: str) -> str:
    """A method's name as the sentences write it: ``cold_assigned`` as "cold assigned"."""
    return method.replace("_", " ").replace("-", " ")


def calls(n: float) -> str:
    """ "1 call", "2.5 calls"; infinite and undefined numbers are an en dash."""
    return NONE if real(n) is None else "1 call" if n == 1 else f"{number(n)} calls"


def equivalent(n: float) -> str:
    """An n_eq in at most three digits; ∞ where no real sample is nearer."""
    return "∞" if n == math.inf else number(n if n < 100 else float(f"{n:.2g}"))


def metric_name(name: str, scale: float | None = None) -> str:
    """ "MMD² on pixels × 1,000": the distance with the factor that it is shown with."""
    scale = (1000.0 if "mmd" in name.lower() else 1.0) if scale is None else scale
    known = phrase(name)
    kernel = re.match(r"mmd *(?:\^?2|²|squared)?,? *(?:on +)?(.*)$", known, flags=re.IGNORECASE)
    if kernel:
        known = f"MMD² on {kernel[1]}" if kernel[1] else "MMD²"
    known = re.sub(r"^frechet", "Fréchet", known, flags=re.IGNORECASE)
    return f"{known}{'' if scale == 1 else f' × {number(scale)}'}"


def plain(value: Any) -> str:
    """A setting or fact as a reader would write it: lists with commas, yes and no, null as a dash."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{phrase(str(k))}: {plain(v)}" for k, v in value.items()) or NONE
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(v) for v in value) or NONE
    return str(value)
