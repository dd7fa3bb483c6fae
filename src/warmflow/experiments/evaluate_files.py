"""``warmflow evaluate``: a verdict for samples in files, with a run folder and a report.

    OUT/config.json        options, facts about the data, notes
    OUT/study.*            all measurements from which the verdict is computed
    OUT/verdict.json       outcomes, sentences, numbers
    OUT/pictures.safetensors, OUT/report.html

On the command line, one set of samples is given as NAME:CALLS@SEED=PATH, or all sets of a method as NAME=FOLDER, where FOLDER
contains folders or files named CALLS or CALLS@SEED. If samples answer an input (``--inputs``), each set holds several draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from warmflow.checkpoints import open_run
from warmflow.data.ready import Inputs
from warmflow.data.sample_files import FILES
from warmflow.data.samples import Reading, Sets, read_all, read_samples
from warmflow.evaluation.evaluate import Evaluation, Extras, Given, evaluate
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.real import VALIDATION_SHARE
from warmflow.evaluation.record import save_evaluation
from warmflow.evaluation.study import Role, Study, Training
from warmflow.failures import explained
from warmflow.files import check_place, write_json, write_tensors
from warmflow.locks import locked
from warmflow.metrics.defaults import token_metrics
from warmflow.metrics.resampled import ResampledMetric
from warmflow.printing import tell
from warmflow.report import Report, rehearse
from warmflow.rounding import rounded

TRAINED = {"equal": Training.EQUAL, "convergence": Training.CONVERGENCE, "unknown": Training.UNKNOWN}
SHOWN = 64
SHAPE = "NAME:CALLS@SEED=PATH, like {flag} cold:4@0=PATH"


@dataclass(frozen=True)
class Asked:
    """The options of the command line, as strings."""

    real: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    start: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    train: str | None = None
    validation: str | None = None
    seconds: tuple[str, ...] = ()
    clip: str | None = None
    ranges: tuple[str, ...] = ()
    mode: str = ""
    trained: str = "unknown"
    counted: tuple[str, ...] = ()
    useful: float = 0.5
    items: str = "samples"
    inputs: str | None = None
    train_inputs: str | None = None
    validation_inputs: str | None = None


@dataclass(frozen=True)
class Place:
    """The path of one set of samples, with its method, number of calls and training seed."""

    flag: str
    name: str
    calls: int
    seed: int
    path: str

    @property
    def label(self) -> str:
        return f"{self.flag} {self.name}:{self.calls}@{self.seed}"


@explained("measuring", "the number of samples")
def evaluate_files(asked: Asked, out: Path, *, progress: bool = True, say: Callable[[str], None] = tell) -> Evaluation:
    """Evaluates samples in files and writes a run folder.

    Args:
        out: the run folder.
        progress: whether to show a progress bar.
        say: receives notes for the user.

    Raises:
        ValueError: invalid options or files; nothing is written then.
    """
    places = _places(asked)
    seconds, trained = _seconds(asked.seconds, places), _trained(asked.trained)
    clip = None if asked.clip is None else _pair(asked.clip, "--clip")
    rules = _rules(asked.useful)
    reading = Reading(_ranges(asked.ranges), _mode(asked.mode))
    if (out / "config.json").exists():
        open_run(out, _json(asked))  # rejects the folder of another run before anything is measured
    inputs = _inputs(asked, reading)
    paths = {p.label: p.path for p in places}
    sets = read_all(asked.real, paths, asked.train, asked.validation, reading, draws=inputs is not None)
    if inputs is not None:
        _one_input_each(asked, inputs, sets)
    for note in sets.notes:
        say(f"note: {note}")
    check_place(out)
    rehearse(out, {**_json(asked), "data": _data(asked, sets)}, {"real": sets.real[:SHOWN].numpy()})
    given = {flag: _given(flag, places, sets) for flag in ("--baseline", "--candidate", "--start", "--control")}
    with locked(out):
        evaluation = evaluate(
            sets.real, baseline=given["--baseline"], candidates=given["--candidate"], train=sets.train,
            validation=sets.validation, inputs=inputs,
            metrics=None if inputs else _text_metrics(sets), clip=clip, rules=rules, progress=progress,
            extras=Extras(
                starts=given["--start"], controls=given["--control"], seconds=seconds, trained=trained, counted=asked.counted,
                items=asked.items,
            ),
        )  # fmt: skip
        _write(out, asked, sets, places, evaluation)
    return evaluation


def _json(asked: Asked) -> dict[str, object]:
    return {"kind": "evaluate", **asdict(asked)}


def _write(out: Path, asked: Asked, sets: Sets, places: Sequence[Place], evaluation: Evaluation) -> None:
    found = open_run(out, _json(asked))
    save_evaluation(out, evaluation)
    first = min(p.seed for p in places)
    shown = {f"{p.name}.{p.calls}": sets.methods[p.label] for p in places if p.seed == first and p.flag != "--start"}
    starts = {f"start of {p.name}": sets.methods[p.label] for p in places if p.seed == first and p.flag == "--start"}
    made = {k: x if asked.inputs is None else x[0] for k, x in {**starts, **shown}.items()}
    write_tensors(out / "pictures.safetensors", {k: x[:SHOWN] for k, x in {"real": sets.real, **made}.items()})
    data = _data(asked, sets)
    write_json(out / "config.json", {**found, "data": data, "notes": sets.notes, "device": "cpu", "state": "complete"})
    Report.read(out).save(out)


def _data(asked: Asked, sets: Sets) -> dict[str, object]:
    """What config.json says of the data."""
    name, shape = Path(asked.real).name, list(sets.real.shape[1:])
    symbols = {} if sets.alphabet is None else {"symbols": list(sets.alphabet.symbols)}
    return {"name": name, "kind": _kind(sets.real), "shape": shape, **symbols}


def _kind(x: Tensor) -> str:
    return "tokens" if not x.is_floating_point() else "images" if x.ndim == 4 else "points"


def _inputs(asked: Asked, reading: Reading) -> Inputs | None:
    """The inputs of the rows of the real, training and validation data; None without ``--inputs``."""
    pairs = [
        ("--inputs", asked.inputs, "--real", asked.real),
        ("--train-inputs", asked.train_inputs, "--train", asked.train),
        ("--validation-inputs", asked.validation_inputs, "--validation", asked.validation),
    ]
    if asked.inputs is None:
        for name, path, _, _ in pairs[1:]:
            if path is not None:
                raise ValueError(f"{name} is {path!r}, without --inputs; give the inputs of --real too")
        return None
    for name, path, of, truth in pairs:
        if (path is None) != (truth is None):
            missing, given = (name, of) if path is None else (of, name)
            raise ValueError(f"{given} is given without {missing}; with inputs, each set of real data needs its own")
    if asked.train_inputs is None:
        raise ValueError("--inputs is given without --train and --train-inputs, which scale the pairs; give both")
    found = [None if path is None else read_samples(path, reading) for _, path, _, _ in pairs]
    for (name, path, _, _), x in zip(pairs, found, strict=True):
        if x is not None and not x.is_floating_point():
            raise ValueError(f"{name} {path} holds texts or tokens; inputs must be images or points")
    real, train, validation = found
    if real is None or train is None:
        raise AssertionError("checked above")
    return Inputs(real, train, validation)


def _one_input_each(asked: Asked, inputs: Inputs, sets: Sets) -> None:
    """Raises ValueError if a set of real data and its inputs have different numbers of rows."""
    for name, path, x, of, truth, rows in (
        ("--inputs", asked.inputs, inputs.real, "--real", asked.real, sets.real),
        ("--train-inputs", asked.train_inputs, inputs.train, "--train", asked.train, sets.train),
        ("--validation-inputs", asked.validation_inputs, inputs.validation, "--validation", asked.validation, sets.validation),
    ):  # fmt: skip
        if x is not None and rows is not None and len(x) != len(rows):
            raise ValueError(
                f"{name} {path} has {len(x)} rows and {of} {truth} {len(rows)}; give one input for each row, in the same order"
            )


def _text_metrics(sets: Sets) -> list[ResampledMetric] | None:
    """k-grams over the alphabet of all sets (the validation data may lack a symbol); None for floats."""
    if sets.real.is_floating_point():
        return None
    every = [sets.real, *sets.methods.values(), *(x for x in (sets.train, sets.validation) if x is not None)]
    held = len(sets.real) // 3 if sets.validation is None else len(sets.validation)
    samples = len(next(iter(sets.methods.values())))
    smallest = min(held, samples // VALIDATION_SHARE)
    return token_metrics(max(int(x.max()) for x in every) + 1, sets.real.shape[1], smallest)


def table(study: Study) -> str:
    """A table of the primary metric by method and number of calls, as text: n_eq, or the distance without one."""
    scatter = study.primary.scatter
    unit = f"equivalent number of real {study.items}" if scatter is not None else f"distance ({study.primary.name})"
    lines = [f"{unit}, by calls ({study.primary.name}):"]
    for method in study.methods:
        curve = study.curve(method.name)
        cells = []
        for calls, d in zip(curve.calls, curve.mean(study.primary.name), strict=True):
            value = f"{d:.3g}" if scatter is None else "inf" if d <= 0 else rounded(scatter / d)
            cells.append(f"{value}" if method.role is Role.START else f"{calls:g}: {value}")
        lines.append(f"  {method.name:<24} {'   '.join(cells)}")
    return "\n".join(lines)


# ---------------------------------------------------------------- parsing of options


def _places(asked: Asked) -> list[Place]:
    """All sets of samples of the command line; ValueError if names, calls or seeds are inconsistent."""
    groups = {
        "--baseline": asked.baseline,
        "--candidate": asked.candidate,
        "--start": asked.start,
        "--control": asked.control,
    }
    places = [p for flag, texts in groups.items() for text in texts for p in _places_of(flag, text)]
    for flag in ("--baseline", "--candidate"):
        if not groups[flag]:
            raise ValueError(
                f"{flag} is missing; a verdict needs a baseline and a candidate: {SHAPE.format(flag=flag)}"
            )
    names = {flag: {p.name for p in places if p.flag == flag} for flag in groups}
    both = sorted(names["--baseline"] & names["--candidate"])
    if both:
        raise ValueError(f"{both[0]!r} is a baseline and a candidate; give each method its own name")
    for flag in ("--start", "--control"):
        for name in sorted(names[flag] - names["--candidate"]):
            raise ValueError(
                f"{flag} is for {name!r}, which is not a candidate; known: {', '.join(sorted(names['--candidate']))}"
            )
    seen: dict[tuple[str, str, int, int], Place] = {}
    for p in places:
        key = (p.flag, p.name, p.calls, p.seed)
        if key in seen:
            raise ValueError(f"{p.label} is given twice, as {seen[key].path} and {p.path}; give each set its own seed")
        seen[key] = p
    _same_seeds(places)
    return places


def _same_seeds(places: Sequence[Place]) -> None:
    seeds: dict[tuple[str, str, int], set[int]] = {}
    for p in places:
        seeds.setdefault((p.flag, p.name, p.calls), set()).add(p.seed)
    (flag, name, calls), most = max(seeds.items(), key=lambda item: len(item[1]))
    for (other_flag, other, at), have in seeds.items():
        if have != most:
            raise ValueError(
                f"{flag} {name}:{calls} has the training seeds {sorted(most)} and {other_flag} {other}:{at} {sorted(have)}; "
                "selected seeds make a verdict invalid: give every set under the same seeds"
            )


def _places_of(flag: str, text: str) -> list[Place]:
    """The sets of samples given by one option."""
    head, equals, path = text.partition("=")
    start = flag == "--start"
    shape = "NAME@SEED=PATH, like --start warm@0=PATH" if start else SHAPE.format(flag=flag)
    name, at, seed = head.partition("@")
    name, colon, calls = name.partition(":")
    if not equals or not path or not name or (at and not seed):
        raise ValueError(f"{flag} is {text!r}; give {shape}")
    if start and colon:
        raise ValueError(f"{flag} is {text!r}; a start has no number of calls: give {shape}")
    if start:
        return [Place(flag, name, 0, _whole(seed or "0", 0, "training seed", f"{flag} {text}", shape), path)]
    if colon:
        return [_place(flag, name, calls, seed or "0", path, f"{flag} {text}", shape)]
    if at:
        raise ValueError(f"{flag} is {text!r}, without a number of calls; give {shape}")
    return _places_in(flag, name, path, shape)


def _places_in(flag: str, name: str, path: str, shape: str) -> list[Place]:
    """The sets of samples in a folder with entries named by their calls."""
    folder = Path(path).expanduser()
    inside = [e for e in sorted(folder.iterdir()) if not e.name.startswith(".")] if folder.is_dir() else []
    sets = [e for e in inside if e.is_dir() or e.suffix.lower() in FILES]
    if not sets:
        raise ValueError(
            f"{flag} {name}={path} has no number of calls; give {shape}, or a folder of folders or files named 4 or 4@0"
        )
    found = []
    for entry in sets:
        calls, at, seed = (entry.name if entry.is_dir() else entry.stem).partition("@")
        found.append(
            _place(flag, name, calls, seed if at else "0", f"{path.rstrip('/')}/{entry.name}", str(entry), "4 or 4@0")
        )
    return found


def _place(flag: str, name: str, calls: str, seed: str, path: str, where: str, shape: str) -> Place:
    steps = _whole(calls, 1, "number of calls", where, shape)
    return Place(flag, name, steps, _whole(seed, 0, "training seed", where, shape), path)


def _whole(text: str, least: int, what: str, where: str, shape: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f"{where}: {text!r} is not a {what}; give a whole number of at least {least}: {shape}")
    return int(text)


def _given(flag: str, places: Sequence[Place], sets: Sets) -> dict[str, Given]:
    """Ready samples by method, training seed and calls."""
    found: dict[str, dict[int, dict[int, Tensor]]] = {}
    for p in places:
        if p.flag == flag:
            found.setdefault(p.name, {}).setdefault(p.seed, {})[p.calls] = sets.methods[p.label]
    return {name: by_seed for name, by_seed in found.items()}  # noqa: C416 (a dict of another type)


def _seconds(texts: Sequence[str], places: Sequence[Place]) -> Mapping[str, Mapping[int, float]]:
    known = {(p.name, p.calls) for p in places if p.flag in ("--baseline", "--candidate")}
    found: dict[str, dict[int, float]] = {}
    for text in texts:
        head, _, value = text.partition("=")
        name, _, calls = head.partition(":")
        try:
            seconds, steps = float(value), int(calls)
        except ValueError:
            raise ValueError(f"--seconds is {text!r}; give NAME:CALLS=SECONDS per sample, like cold:4=0.012") from None
        if not 0 < seconds < math.inf:
            raise ValueError(f"--seconds is {text!r}; give positive seconds per sample, like cold:4=0.012")
        if (name, steps) not in known:
            some = ", ".join(sorted(f"{n}:{c}" for n, c in known))
            raise ValueError(f"--seconds is for {head!r}, which has no samples; known: {some}")
        found.setdefault(name, {})[steps] = seconds
    return found


def _pair(text: str, flag: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        low, high = (float(p) for p in parts)
    except ValueError:
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{flag} is {text!r}; give two numbers, LOW,HIGH, like -1,1")
    return low, high


def _ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in texts:
        path, _, pair = text.rpartition("=")
        found[path] = _pair(pair, f"--range {path}=" if path else "--range")
    return found


def _mode(mode: str) -> str:
    if mode not in ("", "RGB", "L"):
        raise ValueError(f"--mode is {mode!r}; give RGB (colour) or L (grey)")
    return mode


def _trained(text: str) -> Training:
    if text not in TRAINED:
        raise ValueError(f"--trained is {text!r}; known: {', '.join(TRAINED)}")
    return TRAINED[text]


def _rules(useful: float) -> Rules:
    try:
        return Rules(useful=useful)
    except ValueError as error:
        raise ValueError(f"--{error}") from None
