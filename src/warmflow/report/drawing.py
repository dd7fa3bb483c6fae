"""What every drawing of a report shares: ink, empty axes, and how a figure becomes a string for a page.

Figures are built without pyplot, so no global state is touched. On a page they are inline SVG whose ink is
``currentColor``: light and dark pages share one drawing. Images are PNGs at a whole multiple of their own pixels, so
that they stay crisp at any size.
"""

from __future__ import annotations

import base64
import html
import io
import re
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""The colour of text and axes; ``svg`` turns it into the page's own text colour."""
LEAST, MOST = 480, 4096


def blank(size: tuple[float, float], rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of ``size`` inches with rows x columns empty axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = list(np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel())
    for ax in axes:
        ax.tick_params(colors=INK, labelsize=8)
        for name, spine in ax.spines.items():
            spine.set_edgecolor(INK)
            spine.set_alpha(0.4)
            spine.set_visible(name in ("left", "bottom"))
    return figure, axes


def literal(figure: Figure) -> Figure:
    """The figure with every text shown literally: a dollar in a name does not begin a formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


def svg(figure: Figure, prefix: str, label: str) -> Markup:
    """The figure as inline SVG without links or a background; all ids begin with ``prefix``, so that none clash."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "warmflow", "svg.fonttype": "path"}):
        literal(figure).savefig(out, format="svg", transparent=True, dpi=160)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(' xmlns="http://www.w3.org/2000/svg"', "")
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    seen: dict[str, int] = {}

    def once(m: re.Match[str]) -> str:  # matplotlib names an image by its content, so equal images share an id
        seen[m[1]] = seen.get(m[1], 0) + 1
        return m[0] if seen[m[1]] == 1 else f'id="{m[1]}-{seen[m[1]]}"'

    text = re.sub(r'\bid="([^"]+)"', once, text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text).replace("url(#", f"url(#{prefix}-")
    text = text.replace('xlink:href="data:', 'href="data:').replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    head = re.compile(r'<svg ([^>]*?)width="[^"]*pt"([^>]*)>', re.DOTALL)
    text = head.sub(lambda m: f'<svg role="img" aria-label="{html.escape(label)}" {m[1]}{m[2]}>', text, count=1)
    return Markup(re.sub(r'(<svg [^>]*?) height="[^"]*pt"', r"\1", text, count=1))


def png(figure: Figure) -> str:
    """A ``data:`` URL of a figure."""
    out = io.BytesIO()
    literal(figure).savefig(out, format="png", transparent=True, dpi=200)
    return _url(out)


def sheet_png(sheet: np.ndarray) -> str:
    """A ``data:`` URL of a sheet (H, W, 4) enlarged by whole pixels to at least ``LEAST`` wide, or ``MOST`` high."""
    import matplotlib.image

    out, factor = io.BytesIO(), max(1, min(-(-LEAST // sheet.shape[1]), MOST // sheet.shape[0]))
    matplotlib.image.imsave(out, sheet.repeat(factor, axis=0).repeat(factor, axis=1), format="png")
    return _url(out)


def _url(out: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
