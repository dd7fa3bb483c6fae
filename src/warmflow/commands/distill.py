"""``warmflow distill``: a finished run distilled into a student of one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Given, Group
from warmflow.commands.checks import Device, Out, Quiet, Threads, check_is_run, use_threads
from warmflow.methods.distillation import Distillation
from warmflow.printing import tell

KEY = Distillation.name


def command(words: Sequence[str]) -> Command:
    """The command with the options of distillation."""
    return Command("distill", distill, [Group(KEY, Distillation, "", "Options of distillation", without=("teacher",))])


def distill(
    run: Path,
    /,
    *,
    given: Given,
    reflow: Annotated[bool, Parameter(help="Train the reflow of the teacher too, to stand beside the student.")] = True,
    report: Annotated[bool, Parameter(help="Measure teacher and student, and write report.html.")] = True,
    draft: Annotated[
        str | None,
        Parameter(
            help="The draft of a warm teacher, where its run folder does not hold it: a file or folder of drafts, or "
            "diffusers:PATH."
        ),
    ] = None,
    data: Annotated[
        str | None,
        Parameter(help="The data of a teacher that somebody else has trained: folder:PATH, a file, hf:NAME."),
    ] = None,
    out: Out = None,
    device: Device = "cpu",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Distil a finished RUN into a student of one call by Flow Generator Matching, and measure it beside its teacher.

    warmflow train digits --method cold-minibatch --out teacher
    warmflow distill teacher --out student
    warmflow sample student --out samples.png
    """
    use_threads(threads)
    options = Distillation(**given[KEY])  # validated before the run is read
    check_is_run(run, "train")
    folder = out or Path(f"{run}-student")
    from warmflow.experiments.distill import distill as distil

    distil(
        run, folder, device=device, reflow=reflow, report=report, progress=not quiet, echo=tell, draft=draft, problem=data,
        **{name: getattr(options, name) for name in given[KEY]},
    )  # fmt: skip
    if int(os.environ.get("RANK", "0")) != 0:
        return
    tell(f"{folder} is complete. Look at samples: warmflow sample {folder} --out {folder}/samples.png")
    if (folder / "report.html").exists():
        tell(f"The report: {folder / 'report.html'}")
