"""``warmflow sample``: samples from a finished run into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Float, Int, MaybeFloat, MaybeInt, Switch
from warmflow.commands.checks import Device, Quiet, Threads, use_threads

LARGEST_GRID = 4096
SUFFIXES = (".png", ".npz", ".npy", ".txt", ".jsonl")
Help = Parameter


def command(words: Sequence[str]) -> Command:
    """The command."""
    return Command("sample", sample)


def sample(
    run: Path,
    /,
    *,
    out: Annotated[Path, Help(help="A file: .png (a grid), .npz or .npy; of texts also .txt or .jsonl.")],
    n: Annotated[Int, Help(name=["-n", "--number"], help="Number of samples.")] = 64,
    steps: Annotated[MaybeInt, Help(help="Intervals on [t0, 1]; by default 4, of a student 1.")] = None,
    solver: Annotated[
        str | None,
        Help(
            help="euler, heun, midpoint, rk4, adams-bashforth or multistep-x1; by default the run's own. Tokens have their own."
        ),
    ] = None,
    seed: Annotated[Int, Help(help="The same seed and number give the same samples.")] = 0,
    batch_size: Annotated[MaybeInt, Help(help="Samples that are drawn at once.")] = None,
    label: Annotated[MaybeInt, Help(help="Conditional models: the label of all samples.")] = None,
    guidance: Annotated[
        MaybeFloat,
        Help(help="Conditional models: classifier-free guidance scale; 1 disables it. By default the run's own."),
    ] = None,
    guidance_interval: Annotated[
        str, Help(help="Conditional models: LOW,HIGH, times t between which guidance is on.", show_default=False)
    ] = "",
    prefix: Annotated[str, Help(help="Texts: what every sample begins with.", show_default=False)] = "",
    template: Annotated[str, Help(help="Texts: a window with underscores where it is free.", show_default=False)] = "",
    temperature: Annotated[
        Float, Help(help="Tokens: below 1, likelier and less diverse samples of another distribution.")
    ] = 1.0,
    top_p: Annotated[
        Float,
        Help(help="Tokens: sample only from the likeliest tokens with this total probability; another distribution."),
    ] = 1.0,
    renoise: Annotated[
        Float, Help(help="Tokens: the share that is set to noise and sampled again; another distribution.")
    ] = 0.0,
    raw: Annotated[Switch, Help(help="Use the weights that were not averaged.", show_default=False)] = False,
    device: Device = "cpu",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Draw samples from a finished RUN into a file. The suffix of the file says in which form.

    warmflow sample run -n 64 --out samples.png
    warmflow sample run -n 10000 --steps 2 --solver heun --out samples.npz
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"out is {out}; its suffix is .png (a grid), .npz or .npy; for texts .txt or .jsonl too")
    if n < 1:
        raise ValueError(f"n is {n}; ask for at least one sample")
    if out.suffix == ".png" and n > LARGEST_GRID:
        raise ValueError(f"n is {n}; a grid shows at most {LARGEST_GRID} samples, use .npz for more")
    use_threads(threads)
    from warmflow.experiments.sample import sample_run
    from warmflow.experiments.sample_options import Asking, Writing

    said = sample_run(
        run, n, out, steps=steps, solver=solver, seed=seed, batch=batch_size, raw=raw, device=device, quiet=quiet,
        writing=Writing(temperature, top_p, renoise, prefix, template), asking=Asking(label, guidance, guidance_interval),
    )  # fmt: skip
    print(said)
