"""``warmflow evaluate``: samples that were made by any program, judged from folders and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Float
from warmflow.commands.checks import Out, Quiet, Threads, use_threads
from warmflow.printing import say, tell

Words = tuple[str, ...]


def several(help: str, name: str | None = None) -> Parameter:
    """A flag that may be given several times."""
    return Parameter(
        name=name, help=f"{help}; repeat it for each.", negative=(), show_default=False, allow_leading_hyphen=True
    )


def command(words: Sequence[str]) -> Command:
    """The command."""
    return Command("evaluate", evaluate)


Train = Annotated[
    str | None, Parameter(help="PATH of what the methods were trained on; without it copying is not checked.")
]
Validation = Annotated[str | None, Parameter(help="PATH of real data for choices; by default a third of --real.")]
Clip = Annotated[
    str | None, Parameter(help="LOW,HIGH: clip the samples of all methods to this range.", allow_leading_hyphen=True)
]


def evaluate(
    *,
    real: Annotated[str, Parameter(help="PATH of real data that no method was trained on.")],
    train: Train = None,
    validation: Validation = None,
    baseline: Annotated[Words, several("SET of samples of a method to compare with")] = (),
    candidate: Annotated[Words, several("SET of samples of a method that may be faster")] = (),
    start: Annotated[
        Words, several("NAME@SEED=PATH or NAME=PATH: what the candidate NAME starts from (its drafts)")
    ] = (),
    control: Annotated[Words, several("SET of samples of the candidate NAME trained in the same way from noise")] = (),
    inputs: Annotated[
        str | None, Parameter(help="PATH of what each row of --real answers; every SET then holds draws.")
    ] = None,
    train_inputs: Annotated[str | None, Parameter(help="PATH of what each row of --train answers.")] = None,
    validation_inputs: Annotated[str | None, Parameter(help="PATH of what each row of --validation answers.")] = None,
    seconds: Annotated[Words, several("NAME:CALLS=S, seconds for one sample with everything counted")] = (),
    clip: Clip = None,
    ranges: Annotated[
        Words, several("LOW,HIGH or PATH=LOW,HIGH: black and white in files of floats, by default -1,1", "--range")
    ] = (),
    mode: Annotated[str, Parameter(help="RGB or L: convert image files to colour or grey.", show_default=False)] = "",
    trained: Annotated[str, Parameter(help="equal, convergence or unknown: how the methods were trained.")] = "unknown",
    counted: Annotated[
        str, Parameter(help="What the candidate's cost counts, with commas: draft,pairing,prior.", show_default=False)
    ] = "",
    useful: Annotated[Float, Parameter(help="A row counts with this share of the best baseline's n_eq.")] = 0.5,
    items: Annotated[str, Parameter(help="What samples are called in sentences: images, texts.")] = "samples",
    out: Out = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Judge samples of any origin: does the candidate need fewer network calls than the baseline for the same quality?

    Nothing is trained. A SET is NAME:CALLS=PATH or NAME:CALLS@SEED=PATH: the samples of the method NAME with so many network
    calls for each sample, from the model of that training seed. PATH is a folder of images, a .npy, .npz (x, samples or arr_0)
    or .safetensors file, or a .txt of one sample a line. NAME=FOLDER gives all sets of a method at once: FOLDER holds folders
    or files named CALLS or CALLS@SEED.

    All sets need equally many samples (2,000 are good), and every method the same training seeds (three to five; with one there
    is a table, but no verdict). Measure both methods at 1, 2, 4, 8 ... calls: at numbers of calls that are missing the baseline
    is given the benefit of the doubt.

    Where samples answer an input (a restoration, a forecast), give the inputs, and in each SET four draws or more of every
    answer: a folder with a folder or file for each draw, in the order of --real (and then of --validation), or an array (draws,
    inputs, ...).

    warmflow evaluate --real test_images --train train_images \\
      --baseline cold:8@0=cold8_seed0 --baseline cold:8@1=cold8_seed1 \\
      --baseline cold:16@0=cold16_seed0 --baseline cold:16@1=cold16_seed1 \\
      --candidate warm:2@0=warm2_seed0 --candidate warm:2@1=warm2_seed1 \\
      --trained equal --counted draft,pairing --items images --out result
    warmflow evaluate --real test.npy --baseline cold=samples/cold --candidate warm=samples/warm --out result
    warmflow evaluate --real sharp.npy --inputs blurred.npy --train train_sharp.npy --train-inputs train_blurred.npy \\
      --baseline cold=restored/cold --candidate warm=restored/warm --out result
    """
    folder = out or Path("warmflow-evaluate")
    use_threads(threads)
    from warmflow.experiments.evaluate_files import Asked, evaluate_files, table

    parts = tuple(word.strip() for word in counted.split(",") if word.strip())
    asked = Asked(
        real, baseline, candidate, start, control, train, validation, seconds, clip, ranges, mode, trained, parts, useful, items,
        inputs, train_inputs, validation_inputs,
    )  # fmt: skip
    found = evaluate_files(asked, folder, progress=not quiet, say=say)
    tell(f"\n{table(found.study)}\n")
    for said in found.answers.values():
        tell("\n".join([said.text, *(f"  {note}" for note in said.notes)]))
    tell(f"\nThe report: {folder / 'report.html'}")
