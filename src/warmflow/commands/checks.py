"""Checks of the flags that several commands have, and the flags themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import MaybeInt, Switch

Out = Annotated[Path | None, Parameter(help="Folder of the result.")]
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1 or mps.")]
Threads = Annotated[MaybeInt, Parameter(help="CPU threads of this process.")]
Jobs = Annotated[
    MaybeInt, Parameter(help="Processes that train at once, one thread each; by default one for each core, at most 8.")
]
Quiet = Annotated[Switch, Parameter(help="Show no progress bars.", show_default=False)]
Json = Annotated[Switch, Parameter(name="--json", help="Print JSON.", show_default=False)]
MOST_JOBS = 8


def check_is_run(place: Path, first: str) -> None:
    """Raises ValueError for data in the place of the folder that a command of ours has written; ``first`` is that command."""
    from warmflow.data.forms import form_of, holds_data
    from warmflow.problems import PROBLEMS

    word, form = str(place), form_of(str(place))[0]
    if place.is_dir():
        written = any((place / name).exists() for name in ("config.json", "verdict.json", "study.json"))
        found = not written and holds_data(place)
    else:
        found = word in PROBLEMS or bool(form)
    if found:
        out = "run" if first == "train" else "result"
        raise ValueError(
            f"{word} is data, not a run folder: give the folder that warmflow {first} {word} --out {out} makes"
        )


def use_threads(threads: int | None) -> None:
    """Sets the number of CPU threads of this process.

    Raises:
        ValueError: fewer than one.
    """
    if threads is None:
        return
    if threads < 1:
        raise ValueError(f"threads is {threads}; it must be a whole number of at least 1")
    import torch

    torch.set_num_threads(threads)


def numbers(text: str, name: str) -> tuple[int, ...]:
    """Whole numbers with commas.

    Raises:
        ValueError: anything else.
    """
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ValueError(f"{name} is {text!r}; give whole numbers of at least 1 with commas, like 1,2,4,8")
    return found


def check_seeds(seeds: int) -> int:
    """The number of training seeds; ValueError where it is less than one."""
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; give at least one training seed, better five")
    return seeds


def check_minutes(minutes: float | None) -> None:
    """ValueError for a time that is not positive and finite."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"minutes is {minutes}; give a positive time for the whole comparison")


def check_jobs(jobs: int | None) -> int:
    """The number of processes; ValueError where it is less than one."""
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; it must be a whole number of at least 1")
    return jobs or min(os.cpu_count() or 1, MOST_JOBS)
