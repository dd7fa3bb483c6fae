"""``warmflow sample``: samples from a finished run into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Given, Group, Int, MaybeInt, Switch
from warmflow.commands.checks import Device, Quiet, Threads, check_is_run, use_threads
from warmflow.experiments.sample_options import LabelOptions, TokenOptions
from warmflow.files import read_json
from warmflow.printing import tell
from warmflow.solvers import SOLVERS

TOKENS, LABELS = "tokens", "labels"
Help = Parameter


def command(words: Sequence[str]) -> Command:
    """The command with the options of tokens and of labels."""
    tokens = Group(TOKENS, TokenOptions, "", "Options of tokens and texts")
    labels = Group(LABELS, LabelOptions, "", "Options of conditional models")
    run = next((Path(word) for word in words if (Path(word) / "config.json").is_file()), None)
    kept = None if run is None else told_of(run)
    if kept is not None:  # the help shows what applies to this run
        tokens = tokens if kept[0] else replace(tokens, hidden=tuple(tokens.names))
        labels = labels if kept[1] else replace(labels, hidden=tuple(labels.names))
    return Command("sample", sample, [tokens, labels])


def told_of(run: Path) -> tuple[bool, bool] | None:
    """Whether a run makes tokens, and whether it is given labels; None if its config.json does not say."""
    try:
        config = read_json(run / "config.json")
        return config.get("codec") is not None, bool(config["asked"]["training"]["conditional"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # the command itself says what is wrong


def sample(
    run: Path,
    /,
    *,
    given: Given,
    out: Annotated[Path, Help(help="A file: .png (a grid), .npz or .npy; of texts also .txt or .jsonl.")],
    n: Annotated[Int, Help(name=["-n", "--number"], help="Number of samples.")] = 64,
    steps: Annotated[MaybeInt, Help(help="Intervals on [t0, 1]; by default 4, of a student 1.")] = None,
    solver: Annotated[
        str | None, Help(help=f"{', '.join(SOLVERS)}; by default the run's own. Tokens have their own.")
    ] = None,
    seed: Annotated[Int, Help(help="The same seed and number give the same samples.")] = 0,
    batch: Annotated[MaybeInt, Help(name="--batch-size", help="Samples that are drawn at once.")] = None,
    pipeline: Annotated[
        str | None,
        Help(help="The folder or name of the diffusers pipeline that drafts are drawn with, where they are."),
    ] = None,
    raw: Annotated[Switch, Help(help="Use the weights that were not averaged.", show_default=False)] = False,
    device: Device = "cpu",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Draw samples from a finished RUN into a file. The suffix of the file says in which form.

    warmflow sample run -n 64 --out samples.png
    warmflow sample run -n 10000 --steps 2 --solver heun --out samples.npz
    warmflow sample run -n 64 --label dog --out dogs.png
    """
    use_threads(threads)
    check_is_run(run, "train")
    from warmflow.experiments.sample import sample_run

    said = sample_run(
        run, n, out, steps=steps, solver=solver, seed=seed, batch=batch, raw=raw, device=device, progress=not quiet,
        tokens=TokenOptions(**given[TOKENS]), labels=LabelOptions(**given[LABELS]),
        **({} if pipeline is None else {"pipeline": pipeline}),
    )  # fmt: skip
    tell(said)
