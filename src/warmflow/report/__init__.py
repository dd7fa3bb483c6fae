"""Run folders as a page to read: the question, the answer, the figures, the tables, and how it was all made.

    report = Report.read("out")
    report.verdict.outcome          # "faster"
    report.verdict.claim            # the answer in words
    report.figures["calls"]         # a matplotlib Figure
    report.save("out")              # out/report.html, one file that needs no other

Reads folders only, imports nothing heavy (matplotlib only to draw), and writes nothing but the page it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from warmflow.files import check_held, write_text
from warmflow.report.folder import Run, configured, read
from warmflow.report.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

__all__ = ["Report", "Verdict", "gather", "rehearse", "write"]


@dataclass(frozen=True, eq=False)
class Report:
    """The report of one run folder: a comparison, an evaluation or a training run. Notebooks display it as HTML."""

    run: Run

    @classmethod
    def read(cls, folder: str | Path) -> Report:
        """The report of a run folder.

        Raises ValueError, in one line, where ``folder`` is no run folder, is from another version, or holds a
        half-written file; a file that is merely missing only hides its section.
        """
        return cls(read(folder))

    @property
    def verdict(self) -> Verdict:
        """``verdict.json`` as attributes (``.outcome``, ``.answer``, ``.candidates``, ``.json``). A run without one has no
        candidates, and its answer says so."""
        return self.run.verdict

    @property
    def config(self) -> Mapping[str, object]:
        """``config.json`` as it is."""
        return self.run.config.json

    @property
    def figures(self) -> dict[str, Figure]:
        """New figures by name, those that the run has data for: "calls" and "seconds" (quality against cost per
        sample), "gain", "start effect", "samples", "trajectories" (toys), "frontier" (texts) and "loss"."""
        from warmflow.report import figures

        return figures.build(self.run)

    def __repr__(self) -> str:
        return f"Report({str(self.run.folder)!r}: {self.run.problem}; {self.verdict.answer})"

    def html(self) -> str:
        """The page as one HTML string: no script, no link to another file, no network."""
        from warmflow.report import page

        return page.document(page.body(self.run), f"{self.run.problem}: {self.verdict.answer}")

    def save(self, path: str | Path) -> Path:
        """Write the page to ``path`` if that ends in .html, else to ``path/report.html``; returns the file.

        Raises OSError, in one line, if it cannot be written; an older page is then left as it was.
        """
        return write(self.html(), path)

    def _repr_html_(self) -> str:
        from warmflow.report import page

        return str(page.fragment(page.body(self.run, f"n{id(self):x}")))


def rehearse(folder: str | Path, config: Mapping[str, object], pictures: Mapping[str, np.ndarray]) -> None:
    """Makes the page that a run of this configuration would have, so that what cannot be drawn or written is found before
    anything is trained.

    Args:
        folder: the run folder; nothing is written there.
        pictures: samples by name, as in pictures.safetensors.

    Raises:
        ValueError: the page cannot be made; the message has the reason.
    """
    kept = configured(json.loads(json.dumps(config)))
    run = Run(Path(folder), kept, Verdict("not finished"), pictures, {}, {})
    try:
        Report(run).html().encode("utf-8", "backslashreplace")
    except Exception as error:  # whatever drawing libraries raise on these data
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ValueError(f"{run.problem}: the report cannot be drawn ({reason}): give data of another form") from error


def gather(folders: Iterable[str | Path]) -> str:
    """One HTML page for several run folders: a table on top, then a section each.

    Raises ValueError as ``Report.read`` does, and where ``folders`` is empty.
    """
    from warmflow.report import page

    runs = [read(folder) for folder in folders]
    if not runs:
        raise ValueError("folders is empty: name at least one run folder")
    if len(runs) == 1:
        return Report(runs[0]).html()
    anchors = [f"run{i}" for i in range(1, len(runs) + 1)]
    bodies = [page.body(run, anchor) for run, anchor in zip(runs, anchors, strict=True)]
    return page.document(page.overview(runs, anchors, bodies), f"warmflow: {len(runs)} runs")


def write(html: str, path: str | Path) -> Path:
    """Write a page atomically; returns the file.

    ``path`` is the file if it ends in .html, else a folder that gets ``report.html``. Folders are made as needed.
    """
    path = Path(path)
    file = path if path.suffix.lower() in (".html", ".htm") else path / "report.html"
    try:
        check_held(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, html)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OSError(f"the report cannot be written to {file} ({reason}): give another path") from None
    return file
