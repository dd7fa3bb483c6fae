"""``warmflow report``: one page about one or several run folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command
from warmflow.commands.checks import check_is_run
from warmflow.printing import tell


def command(words: Sequence[str]) -> Command:
    """The command."""
    return Command("report", report)


def report(*runs: Path, out: Annotated[Path, Parameter(help="The page.")] = Path("report.html")) -> None:
    """Write one page about one or several run folders.

    warmflow report result --out page.html
    """
    if not runs:
        raise ValueError("RUNS is missing: name one or several run folders; see warmflow report --help")
    for run in runs:
        check_is_run(run, "compare")
    from warmflow.report import gather, write

    tell(f"The report: {write(gather(runs), out)}")
