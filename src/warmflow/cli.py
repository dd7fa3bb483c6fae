"""The command line: demo, train, sample, compare, evaluate, distill, audit, plan, report.

Nothing heavy is imported until a command runs: ``warmflow --help`` reads only click and the settings page. Every error of
the user's is one line on standard error and exit code 2; Ctrl-C leaves a run that the same command continues, and exit
code 130.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from warmflow import __version__
from warmflow.recipes.settings import RECIPES, Distillation, distillation_of, flag, settings_of, suggest

LARGEST_GRID = 4096
DEMOS: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("images.digits", {"updates": 1200}),
    "moons": ("toy.moons", {"updates": 2000}),
    "grid": ("toy.grid", {"updates": 1500}),
    "text": ("text.characters", {"updates": 600, "width": 64, "depth": 2, "samples": 800}),
}
DEMO_SEEDS = {"text": 3}
TRAINED = (
    "updates", "batch", "learning_rate", "ema", "dropout", "network", "preset", "width", "depth", "predicts", "t0", "seen",
    "dtype", "rounds", "compile", "channels_last", "conditional", "guidance", "guidance_interval",
)  # fmt: skip


class Commands(click.Group):
    """A group that suggests the nearest command, and turns the user's errors into one line and exit code 2."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no such command {args[0]!r}; {suggest(args[0], sorted(self.commands))}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        try:
            value: Any = super().main(*args, standalone_mode=False, **kwargs)  # type: ignore[call-overload]
        except click.UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # bare "warmflow": newer versions of click raise the help
                click.echo(error.format_message())
                return sys.exit(0) if standalone_mode else 0
            command = error.ctx.command_path if error.ctx is not None else "warmflow"
            code = _fail(f"{error.format_message().rstrip('.')}; see {command} --help")
        except click.exceptions.Exit as error:
            code = error.exit_code
        except click.ClickException as error:
            code = _fail(error.format_message())
        except (KeyboardInterrupt, click.Abort):
            click.echo("stopped; nothing is lost: run the same command again to continue", err=True)
            code = 130
        except ValueError as error:
            code = _fail(str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            code = _fail(f"{where}{error.strerror or error}; free space or choose another place")
        else:
            code = value if isinstance(value, int) else 0
        if standalone_mode:
            sys.exit(code)
        return code


def _fail(message: str) -> int:
    click.echo("error: " + " ".join(message.split()), err=True)
    return 2


def settings_options(kinds: list[type[Any]], without: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """A flag for every setting of these recipes; unset flags leave the recipe's own default."""
    fields: dict[str, Any] = {}
    for kind in kinds:
        for f in dataclasses.fields(kind):
            if f.name not in without:
                fields.setdefault(f.name, f)

    def decorate(command: Any) -> Any:
        for name, f in reversed(fields.items()):
            kind = type(f.default)
            text = (
                f"{f.metadata['help']}  [{', '.join(f.metadata['choices'])}]"
                if f.metadata["choices"]
                else f.metadata["help"]
            )
            if len(kinds) == 1 and kind is not bool:
                text += f"  [default: {f.default}]"
            names = f"{flag(name)}/--no-{name.replace('_', '-')}" if kind is bool else flag(name)
            how: dict[str, Any] = {} if kind is bool else {"type": kind}
            command = click.option(names, name, default=None, help=text, **how)(command)
        return command

    return decorate


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if v is not None}


def _threads(threads: int | None) -> None:
    if threads is not None:
        if threads < 1:
            raise ValueError(f"--threads is {threads}; it is a whole number of at least 1")
        import torch

        torch.set_num_threads(threads)


def _numbers(text: str, name: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ValueError(f"{name} is {text!r}; give whole numbers of at least 1 with commas, like 1,2,4,8")
    return found


def _seeds(seeds: int) -> None:
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; give at least one training seed, better five")


def _minutes(minutes: float | None) -> None:
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"--minutes is {minutes}; give a positive time for the whole comparison")


def _jobs(jobs: int | None) -> int:
    if jobs is not None and jobs < 1:
        raise ValueError(f"--jobs is {jobs}; it is a whole number of at least 1")
    return jobs or min(os.cpu_count() or 1, 8)


device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps")
out_option = click.option("--out", type=click.Path(path_type=Path), default=None, help="folder of the result")
threads_option = click.option("--threads", type=int, default=None, help="CPU threads of this process")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="warmflow")
def main() -> None:
    """Flow matching from a draft instead of from noise, and the proof of whether it helps.

    Begin with:  warmflow demo
    """


@main.command(short_help="Warm against cold on digits, moons, a grid or a text, in minutes.")
@click.argument("what", default="digits", type=click.Choice(["digits", "moons", "grid", "text"]))
@out_option
@click.option("--seeds", default=None, type=int, help="training seeds; one makes no claim  [default: 5, of text 3]")
@click.option("--updates", default=None, type=int, help="updates of each flow")
@click.option("--jobs", type=int, default=None, help="flows trained at once, one thread each [default: the cores]")
@click.option("--quiet", is_flag=True, help="no progress bars")
def demo(what: str, out: Path | None, seeds: int | None, updates: int | None, jobs: int | None, quiet: bool) -> None:
    """Warm against cold on real 8x8 digits (or on moons, moons on a grid, characters), from data to report, in minutes."""
    recipe, asked = DEMOS[what]
    out = out or Path(f"warmflow-{what}")
    changes: dict[str, Any] = {**asked, **({} if updates is None else {"updates": updates})}
    s = settings_of(recipe, **changes)
    seeds = DEMO_SEEDS.get(what, 5) if seeds is None else seeds
    _seeds(seeds)
    jobs = _jobs(jobs)
    drafts = {"mixture": "a Gaussian mixture", "jittered": "a fresh point plus noise", "ngram": "a trigram model"}
    tokens = what in ("grid", "text")
    colds = "two cold ones" if tokens else "cold with independent, minibatch and whole-set pairs, warm from noise"
    flows = {"grid": 4, "text": 3}.get(what, 5)
    minutes = "about ten" if tokens else "about five"
    click.echo(
        f"This trains {flows * seeds} small flows on {recipe} ({seeds} seeds; {colds}, and warm from "
        f"{drafts.get(s.draft, s.draft)}), {s.updates} updates each, then samples and judges them.\n"
        f"On two CPU cores it takes {minutes} minutes; cut off, the same command continues. The result goes to {out}/.",
        err=True,
    )
    from warmflow.experiments.compare import compare

    report = compare(recipe, out=out, seeds=range(seeds), jobs=jobs, progress=not quiet, **changes)
    click.echo(f"\n{report.verdict.claim}\n\nThe report: {out / 'report.html'}")


@main.command(context_settings={"show_default": True})
@click.argument("recipe")
@out_option
@click.option(
    "--arm",
    default=None,
    help="which flow: warm, noise, cold, cold_assigned, cold_whole; of lediflow.* also lediflow, lediflow_mean; of tokens "
    "cold_masked  [default: warm, of lediflow.* lediflow]",
)
@click.option("--seed", default=0, help="training seed")
@click.option("--from", "begin", type=click.Path(path_type=Path), default=None, help="a cold run to fine-tune from")
@click.option("--dry-run", is_flag=True, help="print the resolved configuration and what it costs, then stop")
@click.option("--quiet", is_flag=True, help="no progress bar")
@device_option
@threads_option
@settings_options(list(dict.fromkeys(RECIPES.values())))
def train(
    recipe: str, out: Path | None, arm: str | None, seed: int, begin: Path | None, dry_run: bool, quiet: bool,
    device: str, threads: int | None, **settings: Any,
) -> None:  # fmt: skip
    """Train one flow of a recipe into a run folder, or continue it.

    RECIPE is one of toy.moons, toy.eight_gaussians, toy.checkerboard, toy.grid, images.digits, images.fashion,
    images.cifar10, images.emoji, images.folder, images.super_resolution, images.denoising, images.pairs,
    lediflow.digits, lediflow.fashion, lediflow.cifar10, text.characters, text.file.
    """
    resolved = settings_of(recipe, **_given(settings))
    arm = arm or ("lediflow" if recipe.startswith("lediflow.") else "warm")
    _threads(threads)
    from warmflow.experiments.single_runs import train_run

    train_run(recipe, resolved, out or Path(f"warmflow-{recipe}-{arm}-{seed}"), arm=arm, seed=seed, begin=begin,
              device=device, dry_run=dry_run, quiet=quiet, echo=click.echo)  # fmt: skip


@main.command(short_help="Draw samples from a finished run into a file.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "--number", "n", default=64, show_default=True, help="samples")
@click.option(
    "--steps", default=None, type=int, help="intervals that [t0, 1] is divided into  [default: 4, of a student 1]"
)
@click.option(
    "--solver",
    default=None,
    help="euler, heun, midpoint, rk4, adams-bashforth, multistep-x1 (tokens: by jumps)  [default: the run's own]",
)
@click.option("--seed", default=0, show_default=True, help="the same seed and number give the same samples")
@click.option("--batch-size", default=None, type=int, help="samples drawn at once")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="a .png grid, .npz, .npy; texts: .txt, .jsonl"
)
@click.option("--label", default=None, type=int, help="of conditional models: this label for all samples")
@click.option(
    "--guidance",
    default=None,
    type=float,
    help="of conditional models: scale of classifier-free guidance, 1 for none  [default: the run's own]",
)
@click.option(
    "--guidance-interval", default="", help="of conditional models: LOW,HIGH, times t between which guidance is on"
)
@click.option("--prefix", default="", help="texts: what every sample begins with")
@click.option("--template", default="", help="texts: a window with underscores where it is free")
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    help="tokens: below 1 likelier and less diverse samples, of another distribution",
)
@click.option(
    "--top-p",
    default=1.0,
    show_default=True,
    help="tokens: only the likeliest tokens with this probability in all; another distribution",
)
@click.option(
    "--renoise",
    default=0.0,
    show_default=True,
    help="tokens: how much is put back and drawn again; another distribution",
)
@click.option("--raw", is_flag=True, help="the weights that were not averaged")
@click.option("--quiet", is_flag=True, help="no progress bar")
@device_option
@threads_option
def sample(
    run: Path, n: int, steps: int | None, solver: str | None, seed: int, batch_size: int | None, out: Path,
    label: int | None, guidance: float | None, guidance_interval: str, prefix: str, template: str, temperature: float,
    top_p: float, renoise: float, raw: bool, quiet: bool, device: str, threads: int | None,
) -> None:  # fmt: skip
    """Draw samples from a finished run into a file; the suffix decides how."""
    if out.suffix not in (".png", ".npz", ".npy", ".txt", ".jsonl"):
        raise ValueError(f"--out is {out}; its suffix is .png (a grid), .npz or .npy; for texts .txt or .jsonl too")
    if n < 1:
        raise ValueError(f"-n is {n}; ask for at least one sample")
    if out.suffix == ".png" and n > LARGEST_GRID:
        raise ValueError(f"-n is {n}; a grid shows at most {LARGEST_GRID} samples, use .npz for more")
    _threads(threads)
    from warmflow.experiments.sampling_options import Asking, Writing
    from warmflow.experiments.single_runs import sample_run

    click.echo(sample_run(run, n, out, steps=steps, solver=solver, seed=seed, batch=batch_size, raw=raw, device=device,
                          quiet=quiet, writing=Writing(temperature, top_p, renoise, prefix, template),
                          asking=Asking(label, guidance, guidance_interval)))  # fmt: skip


@main.command(short_help="Judge warm against cold, on finished runs or on data.")
@click.argument("what", nargs=-1, required=True)
@out_option
@click.option(
    "--draft", default=None, help="mixture, gaussian, vae, gan, diffusers:PATH, or a file or folder of drafts"
)
@click.option(
    "--calls",
    default=None,
    help="numbers of network calls at which every method is measured, like 1,2,4,8  [default: 14 from 1 to 50]",
)
@click.option("--seeds", default=5, show_default=True, help="training seeds 0 .. seeds - 1")
@click.option("--minutes", default=None, type=float, help="time for all of it; the updates follow")
@click.option("--convergence", is_flag=True, help="train the best cold flow twice as long as well")
@click.option("--jobs", type=int, default=None, help="flows trained at once [default: the cores]")
@click.option("--quiet", is_flag=True, help="no progress bars")
@device_option
@threads_option
@settings_options(list(dict.fromkeys(RECIPES.values())), ("draft",))
def compare(
    what: tuple[str, ...], out: Path | None, draft: str | None, calls: str | None, seeds: int, minutes: float | None,
    convergence: bool, jobs: int | None, quiet: bool, device: str, threads: int | None, **settings: Any,
) -> None:  # fmt: skip
    """Judge warm against cold: of finished RUNs, or of a recipe, data set, folder or file that is trained first.

    WHAT is run folders, or one of: a recipe (see warmflow train --help), cifar10, emoji, hf:NAME (an image data set of the
    Hugging Face hub) or hf:PATH, folder:PATH, or a .npy or .npz file.

    \b
    warmflow compare runs/warm-0 runs/warm-1 runs/cold-0 runs/cold-1 --out result
    warmflow compare student-0 student-1 student-2 --out result
    warmflow compare images.digits --out result
    warmflow compare cifar10 --most 5000 --minutes 60 --out result
    warmflow compare folder:photos --minutes 30 --out result
    warmflow compare data.npz --draft drafts.npy --out result
    """
    from warmflow.evaluation.rows import GRID

    grid = GRID if calls is None else _numbers(calls, "--calls")
    changes = _given(settings)
    out = out or Path("warmflow-compare")
    _seeds(seeds)
    _minutes(minutes)
    jobs = _jobs(jobs)
    _threads(threads)
    if all((Path(w) / "config.json").exists() for w in what):
        asked = {**changes, "draft": draft, "minutes": minutes, "convergence": convergence or None}
        ignored = [flag(k) for k, v in asked.items() if v is not None]
        if ignored:
            raise ValueError(
                f"{ignored[0]} changes the training, but {what[0]} is already trained: leave {ignored[0]} out"
            )
        from warmflow.checkpoints import device_of
        from warmflow.experiments.compare_runs import compare_runs
        from warmflow.experiments.compare_students import compare_students
        from warmflow.experiments.train_flows import read_asked

        runs = [Path(w) for w in what]
        if any(read_asked(run).get("arm") == "student" for run in runs):
            device_of(device)
            report = compare_students(runs, out, grid=grid, progress=not quiet, device=device)
        else:
            report = compare_runs(runs, out, grid=grid, device=device, progress=not quiet)
    elif len(what) > 1:
        missing = next(w for w in what if not (Path(w) / "config.json").exists())
        raise ValueError(f"{missing} is not a run folder (it has no config.json); train it first")
    else:
        from warmflow.experiments.compare import compare as compare_data
        from warmflow.experiments.single_runs import draft_of

        report = compare_data(what[0], draft_of(draft), calls=grid, minutes=minutes,
                              seeds=range(seeds), out=out, convergence=convergence, device=device,
                              jobs=1 if threads else jobs, progress=not quiet, **changes)  # fmt: skip
    click.echo(f"\n{report.verdict.claim}\n\nThe report: {out / 'report.html'}")


@main.command(short_help="Judge samples of anyone's, from folders and files.")
@click.option("--real", required=True, metavar="PATH", help="real data that no method was trained on")
@click.option(
    "--train", "train_data", metavar="PATH", help="what the methods were trained on; without it copying is not checked"
)
@click.option("--validation", metavar="PATH", help="real data for choices  [default: a third of --real]")
@click.option(
    "--baseline", multiple=True, metavar="SET", help="samples of a method to compare with; repeat for each set"
)
@click.option(
    "--candidate", multiple=True, metavar="SET", help="samples of a method that may be faster; repeat for each set"
)
@click.option(
    "--start", multiple=True, metavar="NAME[@SEED]=PATH", help="what the candidate NAME starts from (its drafts)"
)
@click.option("--control", multiple=True, metavar="SET", help="the recipe of the candidate NAME, from noise")
@click.option("--inputs", metavar="PATH", help="what each row of --real is the answer to; sets then hold draws")
@click.option("--train-inputs", metavar="PATH", help="what each row of --train is the answer to")
@click.option("--validation-inputs", metavar="PATH", help="what each row of --validation is the answer to")
@click.option("--seconds", multiple=True, metavar="NAME:CALLS=S", help="seconds a sample, everything counted")
@click.option("--clip", metavar="LOW,HIGH", help="clip the samples of all methods to this range")
@click.option(
    "--range", "ranges", multiple=True, metavar="[PATH=]LOW,HIGH", help="black and white in files of floats  [-1,1]"
)
@click.option("--mode", default="", metavar="RGB|L", help="convert image files to colour or grey")
@click.option("--trained", default="unknown", show_default=True, metavar="HOW", help="equal, convergence or unknown")
@click.option("--counted", default="", metavar="NAMES", help="what the candidate's cost counts: draft,pairing,prior")
@click.option(
    "--useful", default=0.5, show_default=True, help="a row counts with this share of the best baseline's n_eq"
)
@click.option(
    "--items", default="samples", show_default=True, help="what samples are called in sentences: images, texts"
)
@click.option("--quiet", is_flag=True, help="no progress bar")
@out_option
@threads_option
def evaluate(
    real: str, train_data: str | None, validation: str | None, baseline: tuple[str, ...], candidate: tuple[str, ...],
    start: tuple[str, ...], control: tuple[str, ...], inputs: str | None, train_inputs: str | None,
    validation_inputs: str | None, seconds: tuple[str, ...], clip: str | None, ranges: tuple[str, ...], mode: str,
    trained: str, counted: str, useful: float, items: str, quiet: bool, out: Path | None, threads: int | None,
) -> None:  # fmt: skip
    """Judge samples of anyone's: does the candidate need fewer network calls than the baseline for the same quality?

    Nothing is trained. A SET is NAME:CALLS=PATH or NAME:CALLS@SEED=PATH: the samples of the method NAME with so many network
    calls a sample, from the model of that training seed. PATH is a folder of images, a .npy, .npz (x, samples or arr_0) or
    .safetensors file, or a .txt of one sample a line. NAME=FOLDER takes all of a method at once: FOLDER holds folders or files
    named CALLS or CALLS@SEED.

    All sets need equally many samples (2,000 are good), and every method the same training seeds (three to five; with one there
    is a table, but no verdict). Measure both methods at 1, 2, 4, 8 ... calls: the baseline is given the benefit of the doubt at
    numbers of calls that are missing.

    Where samples answer an input (a restoration, a forecast), give the inputs, and in each SET four draws or more of every
    answer: a folder with a folder or file for each draw, in the order of --real (and then of --validation), or an array
    (draws, inputs, ...).

    \b
    warmflow evaluate --real test_images --train train_images \\
      --baseline cold:8@0=cold8_seed0 --baseline cold:8@1=cold8_seed1 \\
      --baseline cold:16@0=cold16_seed0 --baseline cold:16@1=cold16_seed1 \\
      --candidate warm:2@0=warm2_seed0 --candidate warm:2@1=warm2_seed1 \\
      --trained equal --counted draft,pairing --items images --out result
    warmflow evaluate --real test.npy --baseline cold=samples/cold --candidate warm=samples/warm --out result
    warmflow evaluate --real sharp.npy --inputs blurred.npy --train train_sharp.npy --train-inputs train_blurred.npy \\
      --baseline cold=restored/cold --candidate warm=restored/warm --out result
    """
    out = out or Path("warmflow-evaluate")
    _threads(threads)
    from warmflow.experiments.evaluate_files import Asked, evaluate_files, table

    words = tuple(word.strip() for word in counted.split(",") if word.strip())
    found = evaluate_files(
        Asked(real, baseline, candidate, start, control, train_data, validation, seconds, clip, ranges, mode, trained, words,
              useful, items, inputs, train_inputs, validation_inputs),
        out, progress=not quiet, say=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    click.echo(f"\n{table(found.study)}\n")
    for answer in found.answers.values():
        click.echo("\n".join([answer.text, *(f"  {note}" for note in answer.notes)]))
    click.echo(f"\nThe report: {out / 'report.html'}")


@main.command(short_help="Distil a finished flow into one call.", context_settings={"show_default": True})
@click.argument("run", type=click.Path(path_type=Path))
@out_option
@click.option(
    "--reflow/--no-reflow", default=True, help="train the teacher's reflow as well, to stand beside the student"
)
@click.option("--report/--no-report", "measure", default=True, help="measure teacher and student, write report.html")
@click.option("--quiet", is_flag=True, help="no progress bars")
@device_option
@threads_option
@settings_options([Distillation])
def distill(
    run: Path,
    out: Path | None,
    reflow: bool,
    measure: bool,
    quiet: bool,
    device: str,
    threads: int | None,
    **settings: Any,
) -> None:
    """Distil a finished RUN into a student of one call by Flow Generator Matching, and measure it beside its teacher.

    \b
    warmflow train images.digits --out teacher
    warmflow distill teacher --out student
    warmflow sample student --out samples.png
    """
    _threads(threads)
    s = distillation_of(**_given(settings))
    out = out or Path(f"{run}-student")
    from warmflow.checkpoints import device_of
    from warmflow.experiments.compare_students import distill as distil

    device_of(device)
    distil(run, out, device=device, reflow=reflow, report=measure, progress=not quiet, echo=click.echo,
           **dataclasses.asdict(s))  # fmt: skip
    if int(os.environ.get("RANK", "0")) != 0:
        return
    click.echo(f"{out} is complete. Look: warmflow sample {out} --out {out}/samples.png")
    if (out / "report.html").exists():
        click.echo(f"The report: {out / 'report.html'}")


@main.command(short_help="Will a warm start help? Nothing is trained for it.")
@click.argument("data")
@click.option(
    "--draft", default=None, help="mixture, gaussian, vae, gan, diffusers:PATH, or a file or folder of drafts"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@threads_option
@settings_options(list(dict.fromkeys(RECIPES.values())), ("draft", *TRAINED))
def audit(data: str, draft: str | None, as_json: bool, threads: int | None, **settings: Any) -> None:
    """Will a warm start help? A minute's answer, before anything is trained.

    DATA is a recipe (images.digits, toy.moons), cifar10, emoji, hf:NAME (an image data set of the Hugging Face hub) or
    hf:PATH, folder:PATH, or a .npy or .npz file.
    """
    _threads(threads)
    from warmflow.experiments.audit import audit as look
    from warmflow.experiments.single_runs import draft_of

    found = look(data, draft_of(draft), **_given(settings))
    if as_json:
        import json

        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        click.echo(found.text())


@main.command(short_help="How many training seeds and samples a verdict takes, from a pilot.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--candidate", default=None, help="one candidate of the study  [default: each]")
@click.option(
    "--power", default=0.8, show_default=True, help="share of studies in which the speed-up is to be certified"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def plan(study: Path, candidate: str | None, power: float, as_json: bool) -> None:
    """How many training seeds and samples a verdict takes. STUDY is the folder of a pilot: a study.json of two seeds or more.

    Studies like the pilot are simulated with more seeds and samples, and judged as a real one is; it takes a minute.
    """
    if not 0 < power < 1:
        raise ValueError(f"--power is {power}; give a share between 0 and 1, like 0.8")
    from warmflow.evaluation.planner import plans_of
    from warmflow.evaluation.record import read_study

    found = plans_of(read_study(study), candidate, power)
    if as_json:
        import json

        click.echo(json.dumps([dataclasses.asdict(p) for p in found], indent=1))
    else:
        click.echo("\n".join(p.text for p in found))


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, help="the page")
def report(runs: tuple[Path, ...], out: Path) -> None:
    """One page for one or several run folders."""
    from warmflow.report import gather, write

    click.echo(f"The report: {write(gather(runs), out)}")


if __name__ == "__main__":
    main()
