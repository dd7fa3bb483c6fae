"""The pictures of README and docs, from finished comparison folders.

python runs/figures.py DIGITS_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from warmflow.report import Report


def main(folder: str) -> None:
    target = Path(__file__).parent.parent / "docs" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    figures = Report.read(folder).figures
    figures["calls"].set_facecolor("white")
    figures["calls"].savefig(target / "digits.png", dpi=160)
    figures["samples"].set_facecolor("white")
    figures["samples"].savefig(target / "digits_samples.png", dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
