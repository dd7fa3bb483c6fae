"""``warmflow.evaluate``: a verdict for arbitrary generators or ready samples, without training."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from warmflow.brief import Brief
from warmflow.data.checks import copied, distinct, one_clipped, overlaps, repeats
from warmflow.data.given import as_set, check_draws, halves, one_range
from warmflow.data.ready import Answers, Called, Inputs, Ready, by_seed, equally_many, most, same_steps
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.paired import paired_data
from warmflow.evaluation.planner import Plan, plan
from warmflow.evaluation.real import RealData
from warmflow.evaluation.rows import (
    CHOICE_SEED,
    VALIDATION_SHARE,
    Choice,
    Entry,
    Generator,
    choose,
    drawn,
    measured,
    timed,
)
from warmflow.evaluation.sentences import Answer, answer
from warmflow.evaluation.study import Role, Row, Study, Training
from warmflow.evaluation.verdict import Missing, Verdict, judge
from warmflow.metrics.defaults import default_labeller, default_metrics
from warmflow.metrics.gradients import Gradients
from warmflow.metrics.resampled import ResampledMetric
from warmflow.number_checks import is_whole, numbers_checked
from warmflow.user_code import evaluating, naming

Given = (
    Generator | Sequence[Generator] | Mapping[str, Generator | Sequence[Generator]]
    | Mapping[int, Tensor] | Sequence[Mapping[int, Tensor]] | Mapping[int, Mapping[int, Tensor]]
)  # fmt: skip
"""Forms of a method: a generator; one generator per training seed; either of these by name of the solver; or ready samples by
number of calls, for one training seed, as a sequence with one mapping per seed, or by the number of the seed."""
SAMPLES = 2_000
STUDIES = 60  # number of simulated studies for each size that a plan tries
LEAST_REAL, MOST_REPEATS = 100, 0.5
LOOKED_AT = 256
"""Number of samples of a generator that are checked before it is measured, at its fewest steps and at 8 or fewer."""


@dataclass(frozen=True, eq=False)
class Evaluation(Brief):
    """A study and its verdicts, by candidate; ``plans`` has the planned study where a verdict cannot tell."""

    study: Study
    verdicts: Mapping[str, Verdict]
    choices: tuple[Choice, ...] = ()
    plans: Mapping[str, Plan] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)

    @staticmethod
    def of(study: Study, choices: Sequence[Choice] = (), rules: Rules | None = None) -> Evaluation:
        """Computes the verdicts of a study, and a plan where seeds or samples are missing."""
        verdicts = judge(study, rules)
        plans = {
            name: plan(study, name, studies=STUDIES, rules=rules)
            for name, v in verdicts.items()
            if len(study.seeds) > 1 and {Missing.SEEDS, Missing.SAMPLES} & set(v.missing)
        }
        return Evaluation(study, verdicts, tuple(c for c in choices if c.distances), plans, rules or Rules())

    @property
    def verdict(self) -> Verdict:
        return next(iter(self.verdicts.values()))

    @property
    def answers(self) -> dict[str, Answer]:
        """Each verdict in words."""
        planned = {name: p.text for name, p in self.plans.items()}
        return {name: answer(v, self.study, planned.get(name, "")) for name, v in self.verdicts.items()}

    def __str__(self) -> str:
        return "\n".join(a.text for a in self.answers.values())


@dataclass(frozen=True)
class Extras:
    """Optional facts about the methods; the report mentions missing ones.

    Args:
        starts: the starts of candidates, by candidate: a generator or ready samples, at 0 calls.
        controls: the same recipe from noise, by candidate.
        calls_per_step: network calls per step, by method, if not 1 (2 for Heun; guidance doubles it).
        bill: one-off seconds, by method and by name ("draft", "pairing", "training").
        seconds: for ready samples, the seconds per sample, by method and number of calls.
        trained: what was held equal in training.
        given, counted: see ``Study``.
        items: the word for samples in sentences.
    """

    starts: Mapping[str, Given] = field(default_factory=dict)
    controls: Mapping[str, Given] = field(default_factory=dict)
    calls_per_step: Mapping[str, int] = field(default_factory=dict)
    bill: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    trained: Training = Training.UNKNOWN
    given: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    items: str = "samples"


@numbers_checked
def evaluate(
    real: Tensor,
    *,
    baseline: Mapping[str, Given],
    candidates: Mapping[str, Given],
    train: Tensor | None = None,
    validation: Tensor | None = None,
    inputs: Inputs | None = None,
    metrics: Sequence[ResampledMetric] | None = None,
    samples: int = SAMPLES,
    clip: tuple[float, float] | None = None,
    extras: Extras | None = None,
    rules: Rules | None = None,
    progress: bool = False,
) -> Evaluation:
    """Compares candidates with baselines from their samples.

    Args:
        real: (m, *S) real data that no method was trained on. A third of it is used for choices unless ``validation`` is
            given.
        baseline, candidates: methods by name; see ``Given``.
        train: (n, *S) the training data of the methods. Without it copying is not checked, and the kernel's width is computed
            from ``validation``.
        inputs: the inputs of the rows of all sets, if samples answer an input. Generators are then called with ``inputs=``,
            and ready samples are at least 4 draws for each input; see ``data.ready``.
        metrics: the first is the primary one; by default MMD on pixels and gradients for images, on values for points, and
            divergences of 4- to 1-grams for tokens.
        samples: number of samples drawn from each generator; sets of ready samples must be of equal size.
        clip: the range to which the samples of all methods are clipped.

    Returns:
        The study and the verdicts: ``.answers``, ``.verdicts[name].outcome``.

    Raises:
        ValueError: invalid input; the message names the remedy.
    """
    extras, rules = extras or Extras(), rules or Rules()
    real = as_set(real, "real")
    train = None if train is None else as_set(train, "train", real)
    validation = None if validation is None else as_set(validation, "validation", real)
    inputs = None if inputs is None else inputs.checked()
    _known(extras, [*baseline, *candidates], list(candidates))
    asked = None if inputs is None else inputs.asked
    entries = _entries(baseline, candidates, extras, _Sets(real, clip, asked))
    ready = _checked(real, train, validation, entries, samples, asked, clip)
    samples = len(next(iter(ready.values()))) if ready else samples
    if inputs is None:
        with evaluating(*(metrics or ())), naming("a metric failed on the real data"):
            data = _real_data(real, train, validation, metrics, clip, samples)
    else:
        data = _paired_data(real, train, validation, metrics, inputs, samples)
        samples = min(samples, most(data.facts.test, data.facts.validation)) if ready else samples
    with evaluating(*(metrics or ())):
        choices = [choose(entry, data, samples) for entry in entries]
        chosen = {c.method: c.chosen for c in choices}
        rows = tuple(measured(entries, chosen, data, samples, progress=progress))
    _distinct_seeds(rows)
    study = Study(
        methods=tuple(e.method(c.chosen, c.distances) for e, c in zip(entries, choices, strict=True)),
        rows=rows,
        metrics=data.metric_facts,
        real=data.facts,
        trained=extras.trained,
        given=extras.given,
        counted=extras.counted,
        times=() if ready else timed(entries, chosen, inputs=None if data.paired is None else data.paired.test.inputs),
        items=extras.items,
        calls_counted=not ready and all(_counts(e, asked) for e in entries),
    )
    return Evaluation.of(study, choices, rules)


def _checked(
    real: Tensor, train: Tensor | None, validation: Tensor | None, entries: Sequence[Entry], samples: int,
    asked: Tensor | None, clip: tuple[float, float] | None,
) -> dict[str, Tensor]:  # fmt: skip
    """The ready samples of all methods, by their names in error messages, after all checks between sets."""
    check_draws(samples, clip)
    ready = _ready(entries)
    equally_many(ready)
    judged = [e for e in entries if e.role in (Role.BASELINE, Role.CANDIDATE)]
    distinct({(e.name, seed): list(sets.values()) for e in judged for seeds in e.generators.values()
              for seed, g in seeds.items() if (sets := _sets(g))})  # fmt: skip
    looked_at = {e.name: [as_set(x, e.name, real) for x in _looked_at(e, samples, asked)] for e in entries}
    seen = {**ready, **{e.name: torch.cat(looked_at[e.name]) for e in entries if not e.ready}}
    _apart(real if validation is not None else _least(real), train, validation, seen)
    if clip is None and real.is_floating_point():
        one_clipped(looked_at)
    one_range({e.name: torch.cat([x.flatten() for x in looked_at[e.name]]) for e in judged}, real)
    if asked is None:
        copied(*((real, validation) if validation is not None else halves(real)), seen)
    return ready


def _real_data(
    real: Tensor, train: Tensor | None, validation: Tensor | None, metrics: Sequence[ResampledMetric] | None,
    clip: tuple[float, float] | None, samples: int,
) -> RealData:  # fmt: skip
    test, chosen = (real, validation) if validation is not None else halves(real)
    reference = chosen if train is None else train
    metrics = metrics or default_metrics(reference, min(len(chosen), samples // VALIDATION_SHARE))
    labeller = default_labeller(reference)
    return RealData.of(test, chosen, metrics, train=train, labeller=labeller, bounds=clip, samples=samples)


def _paired_data(
    real: Tensor, train: Tensor | None, validation: Tensor | None, metrics: Sequence[ResampledMetric] | None,
    inputs: Inputs, samples: int,
) -> RealData:  # fmt: skip
    if metrics is not None or train is None:
        raise ValueError(
            "inputs needs train, which scales the pairs, and uses its own metrics; give train, leave metrics out"
        )
    images = real.ndim == 4 and min(real.shape[2:]) >= 8
    return paired_data(
        *inputs.parts(real, train, validation), extractors=[("gradients", Gradients())] if images else [],
        labeller=default_labeller(train), samples=samples,
    )  # fmt: skip


def _apart(real: Tensor, train: Tensor | None, validation: Tensor | None, ready: Mapping[str, Tensor]) -> None:
    """Raises ValueError if real rows occur in the training or validation data or among the samples of a method."""
    others = {**({} if train is None else {"train": train}), **ready}
    overlaps(real, others if validation is None else {"validation": validation, **others})
    if validation is not None:
        overlaps(validation, others, "the validation data")


def _known(extras: Extras, names: Sequence[str], candidates: Sequence[str]) -> None:
    """Raises ValueError if an option names an unknown method, or if a step has less than one call."""
    for option, given, known in (
        ("starts", extras.starts, candidates), ("controls", extras.controls, candidates),
        ("calls_per_step", extras.calls_per_step, names), ("bill", extras.bill, names), ("seconds", extras.seconds, names),
    ):  # fmt: skip
        for name in given:
            if name not in known:
                raise ValueError(f"{option} names {name!r}, which is not one of {', '.join(known)}")
    for name, calls in extras.calls_per_step.items():
        if not is_whole(calls):
            raise ValueError(f"calls_per_step of {name} is {calls!r}; give a whole number of at least 1")


def _distinct_seeds(rows: Sequence[Row]) -> None:
    """Raises ValueError if the rows of a method under two training seeds have equal distances, as for equal samples."""
    seen: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row.method, row.steps, *row.measure.distance.values())
        if key in seen:
            raise ValueError(
                f"{row.method} gives the same samples under the seeds {seen[key]} and {row.seed}: give one model per seed"
            )
        seen[key] = row.seed


def _counts(entry: Entry, inputs: Tensor | None) -> bool:
    """Returns True if the samples of a method have counted calls."""
    solver, generators = next(iter(entry.generators.items()))
    asked, generator = None if inputs is None else inputs[:2], next(iter(generators.values()))
    return entry.role is Role.START or drawn(generator, 2, min(entry.steps_of(solver)), 0, asked)[1] is not None


def _least(real: Tensor) -> Tensor:
    if len(real) < LEAST_REAL:
        raise ValueError(f"real has {len(real)} rows; a verdict needs at least {LEAST_REAL}: hold out more real data")
    if real.is_floating_point() and repeats(real) > MOST_REPEATS:
        raise ValueError(f"{repeats(real):.0%} of the rows of real are copies of other rows: give each row once")
    return real


def _sets(generator: Generator) -> Mapping[int, Tensor]:
    """Ready samples, or all draws of answers as one set, by number of calls; empty for other generators."""
    return generator.sets if isinstance(generator, Ready | Answers) else {}


def _ready(entries: Sequence[Entry]) -> dict[str, Tensor]:
    """The ready samples of all methods, by their names in error messages; empty for generators."""
    return {
        f"{e.name} at {calls} calls, seed {seed}": x
        for e in entries
        for generators in e.generators.values()
        for seed, generator in generators.items()
        for calls, x in _sets(generator).items()
    }


def _looked_at(entry: Entry, samples: int, inputs: Tensor | None) -> list[Tensor]:
    """Samples of the first seed of a method: all ready samples, or a few of the generator of each solver."""
    found: list[Tensor] = []
    for solver, generators in entry.generators.items():
        if _sets(generator := next(iter(generators.values()))):
            found += _sets(generator).values()
            continue
        steps = entry.steps_of(solver)
        few = [s for s in steps if s <= 8]
        asked = None if inputs is None else inputs[:LOOKED_AT]
        n = min(samples, LOOKED_AT) if asked is None else len(asked)
        for k in {min(steps), max(few, default=min(steps))}:
            found.append(drawn(generator, n, k, CHOICE_SEED, asked)[0])
    return found


@dataclass(frozen=True, eq=False)
class _Sets:
    """Converts ready samples to sets: in the form of the real data, clipped, with several draws if they answer an input."""

    like: Tensor
    clip: tuple[float, float] | None
    asked: Tensor | None

    def of(self, x: object, name: str) -> Tensor:
        found = as_set(x, name, self.like, self.asked is not None)
        return found if self.clip is None else found.clamp(*self.clip)


def _entries(
    baseline: Mapping[str, Given], candidates: Mapping[str, Given], extras: Extras, sets: _Sets
) -> list[Entry]:
    groups = [
        *((name, given, Role.BASELINE, "") for name, given in baseline.items()),
        *((name, given, Role.CANDIDATE, "") for name, given in candidates.items()),
        *((f"{name} from noise", given, Role.CONTROL, name) for name, given in extras.controls.items()),
        *((f"start of {name}", given, Role.START, name) for name, given in extras.starts.items()),
    ]
    return [_entry(name, given, role, of, extras, sets) for name, given, role, of in groups]


def _entry(name: str, given: Given, role: Role, of: str, extras: Extras, sets: _Sets) -> Entry:
    """Converts a method in any form of ``Given`` to an entry."""
    per_step = extras.calls_per_step.get(name, 1)
    calls: dict[str, Callable[[int], float]] = {}
    solvers: Mapping[str, object] = {"": given}
    if isinstance(given, Mapping) and given and all(isinstance(k, str) for k in given):
        solvers = dict(given)  # type: ignore[arg-type]
    generators: dict[str, dict[int, Generator]] = {}
    steps: dict[str, Sequence[int]] = {}
    for solver, one in solvers.items():
        generators[solver] = {seed: _generator(name, part, role, sets) for seed, part in by_seed(name, one).items()}
        ready_sets = {seed: g.samples for seed, g in generators[solver].items() if isinstance(g, Ready | Answers)}
        if ready_sets:
            steps[solver] = same_steps(name, ready_sets)
        if per_step != 1 and not ready_sets:
            calls[solver] = partial(operator.mul, per_step)
    seconds = extras.seconds.get(name, {})
    return Entry(
        name, role, generators, steps, calls, of, extras.bill.get(name, {}), bool(steps), "", seconds, float(per_step)
    )


def _generator(name: str, part: object, role: Role, sets: _Sets) -> Generator:
    if isinstance(part, Mapping):
        bad = [k for k in part if not is_whole(k, int(role is not Role.START))]
        if bad or not part:
            raise ValueError(f"{name} has samples at {bad or 'no'} calls; give whole numbers of at least 1")
        made = {k: sets.of(x, f"{name} at {k} calls") for k, x in sorted((int(k), x) for k, x in part.items())}
        return Ready(made) if sets.asked is None else Answers.of(made, sets.asked, name)  # type: ignore[return-value]
    if callable(part):
        return Called(part, name, sets.clip)
    raise ValueError(
        f"{name} is a {type(part).__name__}; give a generator(n, steps=, seed=), or samples by number of calls"
    )
