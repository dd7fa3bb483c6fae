"""``warmflow plan``: how many training seeds and samples a verdict takes, from a pilot study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Float
from warmflow.commands.checks import Json, check_is_run
from warmflow.printing import answer


def command(words: Sequence[str]) -> Command:
    """The command."""
    return Command("plan", plan)


def plan(
    study: Path,
    /,
    *,
    candidate: Annotated[str | None, Parameter(help="One candidate of the study; by default each.")] = None,
    power: Annotated[Float, Parameter(help="Share of studies in which the speed-up is to be certified.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Say how many training seeds and samples a verdict takes.

    STUDY is the folder of a pilot: a comparison of two seeds or more (it has a study.json). Studies like the pilot are simulated
    with more seeds and samples, and judged as a real one is. It takes a minute.

    warmflow plan result
    """
    if not 0 < power < 1:
        raise ValueError(f"power is {power}; give a share between 0 and 1, like 0.8")
    check_is_run(study, "compare")
    import json
    from dataclasses import asdict

    from warmflow.evaluation.planner import plans_of
    from warmflow.evaluation.record import read_study
    from warmflow.files import read_json
    from warmflow.run_config import refuse_old

    if (study / "config.json").exists():
        refuse_old(read_json(study / "config.json"), study)
    found = plans_of(read_study(study), candidate, power)
    answer(json.dumps([asdict(p) for p in found], indent=1) if as_json else "\n".join(p.text for p in found))
