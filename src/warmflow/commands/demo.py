"""``warmflow demo``: a warm start compared with cold flows on a small problem, in minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from warmflow.command_line import Command, MaybeInt
from warmflow.commands.checks import Jobs, Out, Quiet, check_jobs, check_seeds
from warmflow.printing import say, tell

COLD = "cold flows with independent, minibatch and whole-set pairs, a warm start from {draft}, and the same method from noise"
TOKENS = "cold flows from uniform tokens and from masks, a warm start from {draft}"


@dataclass(frozen=True)
class Demo:
    """A small problem: its training, and what the introduction says about it."""

    updates: int
    draft: str
    methods: str = COLD
    flows: int = 5
    seeds: int = 5
    minutes: str = "five"
    training: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None


DEMOS: Mapping[str, Demo] = {
    "digits": Demo(1200, "a Gaussian mixture"),
    "moons": Demo(2000, "a fresh point plus noise"),
    "grid": Demo(1500, "a fresh point plus noise", f"{TOKENS}, and the same method from noise", flows=4, minutes="ten"),
    "text": Demo(
        600, "a trigram model", TOKENS, flows=3, seeds=3, minutes="ten", training={"width": 64, "depth": 2}, samples=800
    ),
}


def command(words: Sequence[str]) -> Command:
    """The command."""
    return Command("demo", demo)


def demo(
    problem: Literal["digits", "moons", "grid", "text"] = "digits",
    /,
    *,
    seeds: Annotated[MaybeInt, Parameter(help="Training seeds; one makes no claim.  [default: 5, of text 3]")] = None,
    updates: Annotated[MaybeInt, Parameter(help="Updates of each flow.")] = None,
    jobs: Jobs = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Compare a warm start with cold flows on 8x8 digits (or on moons, moons on a grid, characters), from data to report.

    warmflow demo
    warmflow demo text --out result
    """
    one = DEMOS[problem]
    count = check_seeds(one.seeds if seeds is None else seeds)
    processes = check_jobs(jobs)
    training = {"updates": one.updates if updates is None else updates, **one.training}
    if training["updates"] < 1:
        raise ValueError(f"updates is {updates}; it must be at least 1")
    folder = out or Path(f"warmflow-{problem}")
    say(
        f"This trains {one.flows * count} small flows on {problem}: {one.methods.format(draft=one.draft)}, with {count} training "
        f"seeds and {training['updates']} updates each. Then it samples from all of them and judges the samples.\n"
        f"On two CPU cores this takes about {one.minutes} minutes. If it is interrupted, the same command continues it. "
        f"The result goes to {folder}/.",
    )
    from warmflow.experiments.compare import compare

    report = compare(
        problem, out=folder, seeds=range(count), jobs=processes, samples=one.samples, progress=not quiet, **training
    )
    tell(f"\n{report.verdict.claim}\n\nThe report: {folder / 'report.html'}")
