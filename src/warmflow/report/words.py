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
"""The order in which arms are shown."""

LEVELS = ("real", "draft", "prior")
"""Arms that are not walked: a level in a figure, not a curve."""
JUDGED = ("warm", "lediflow", "student")
"""Arms that a claim may be about."""

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
    """The human name of an arm; one that is not known is shown as it is."""
    return _ARM_NAMES.get(name, phrase(name))


def solver(name: Any) -> str:
    """The solver as a proper name; empty where there is none."""
    if not name or str(name).lower() in ("none", "-", "–"):
        return ""
    text = str(name)
    return _SOLVERS.get(text.lower(), text)


def order(name: str) -> tuple[int, str]:
    """A sorting key that puts known arms in their order and others after them."""
    return (ARMS.index(name) if name in ARMS else len(ARMS), name)


def row_name(row: Mapping[str, Any]) -> str:
    """ "cold (independent pairs), Heun": the arm of a row and its solver."""
    return ", ".join(part for part in (arm(str(row.get("arm", "?"))), solver(row.get("solver"))) if part)


def metric_scale(metric: Mapping[str, Any] | str) -> float:
    """What a distance is multiplied by to be shown: 1000 for MMD^2, else 1, unless ``metric["shown_times"]`` says."""
    if not isinstance(metric, str):
        given = real(metric.get("shown_times"))
        if given:
            return given
        metric = str(metric.get("name", ""))
    return 1000.0 if "mmd" in metric.lower() else 1.0


def metric_name(metric: Mapping[str, Any] | str) -> str:
    """ "MMD² on pixels × 1,000": the distance with its factor and the features it is taken on."""
    name = metric if isinstance(metric, str) else str(metric.get("name", "distance"))
    scale = metric_scale(metric)
    known, kernel = (
        phrase(name),
        re.match(r"mmd *(?:\^?2|²|squared)?,? *(?:on +)?(.*)$", phrase(name), flags=re.IGNORECASE),
    )
    if kernel:
        known = f"MMD² on {kernel[1]}" if kernel[1] else "MMD²"
    known = re.sub(r"^frechet", "Fréchet", known, flags=re.IGNORECASE)
    features = None if isinstance(metric, str) else metric.get("features")
    where = f" on {phrase(features)}" if isinstance(features, str) and features.lower() not in name.lower() else ""
    return f"{known}{where}{'' if scale == 1 else f' × {number(scale)}'}"


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
