"""``warmflow train``: one method on a problem, into a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Given, Int, Switch
from warmflow.commands import groups
from warmflow.commands.checks import Device, Out, Quiet, Threads, use_threads
from warmflow.printing import answer, tell

SWITCHES = ("--dry-run",)
MORE = "warmflow train PROBLEM --method METHOD --help shows the options of a problem and of a method."


def command(words: Sequence[str]) -> Command:
    """The command with the options of the problem and of the method that were typed."""
    found = groups.words_of(words, SWITCHES)
    if not found:
        return Command("train", train, epilogue=f"{groups.catalogue()}\n\n{MORE}", unknown=groups.no_problem)
    asked = groups.Asked.of(found[0], words, "--method")
    if len(asked.methods) > 1:
        raise ValueError(f"--method is {','.join(asked.methods)}; train one method at a time, or use warmflow compare")
    return Command(
        "train",
        train,
        asked.groups(),
        {"asked": asked},
        asked.epilogue(),
        asked.unknown,
        found[0],
    )


def train(
    problem: str,
    /,
    *,
    asked: groups.Asked,
    given: Given,
    method: Annotated[str, Parameter(help="The method that is trained.")] = "warm-start",
    seed: Annotated[Int, Parameter(help="Training seed.")] = 0,
    begin: Annotated[
        Path | None, Parameter(name="--from", help="A finished cold run whose network a warm start is fine-tuned from.")
    ] = None,
    dry_run: Annotated[
        Switch, Parameter(help="Print the configuration and what it costs, and train nothing.", show_default=False)
    ] = False,
    out: Out = None,
    device: Device = "cpu",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train one method on a PROBLEM into a run folder, or continue it.

    warmflow train digits --out run
    warmflow train digits --method cold --cold.pairing minibatch --seed 1 --out cold
    """
    chosen, one, training = asked.problem.problem(given), asked.make(given)[0], asked.training(given)
    use_threads(threads)
    from warmflow.experiments.train import dry_run as show_plan
    from warmflow.experiments.train import train_run

    if dry_run:
        show_plan(chosen, one, training=training, seed=seed, device=device, echo=answer)
        return
    folder = out or Path(f"warmflow-{asked.problem.place}-{method}-{seed}")
    train_run(
        chosen, one, folder, training=training, seed=seed, begin=begin, device=device, progress=not quiet, echo=tell
    )
