"""The pictures of README and docs, from finished comparison folders.

python runs/figures.py DIGITS [MOONS] [GRID] [TARGET]    folders of runs/claims.sh; "" leaves one out; TARGET is docs/figures
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from warmflow.report import Report


def main(digits: str, moons: str = "", grid: str = "", target: str = "") -> None:
    where = Path(target) if target else Path(__file__).parent.parent / "docs" / "figures"
    where.mkdir(parents=True, exist_ok=True)
    figures = Report.read(digits).figures
    for name, file, dpi in (("calls", "digits.png", 160), ("samples", "digits_samples.png", 110)):
        figures[name].set_facecolor("white")
        figures[name].savefig(where / file, dpi=dpi)
    for name, folder in (("moons", moons), ("grid", grid)):
        if folder:
            shutil.copyfile(Path(folder) / "grades.svg", where / f"{name}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
