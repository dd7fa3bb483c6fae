"""``warmflow.evaluate``: a verdict for generators or ready samples of anyone's; nothing is trained, and no plan is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from warmflow.contracts import Samples
from warmflow.data.checks import one_clipped, overlaps
from warmflow.evaluation.answers import Answers, Inputs, most
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.paired import paired_data
from warmflow.evaluation.planner import Plan, plan
from warmflow.evaluation.real import RealData, halves
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
from warmflow.evaluation.study import Role, Study, Training
from warmflow.evaluation.verdict import Missing, Verdict, judge
from warmflow.metrics.defaults import default_labeller, default_metrics
from warmflow.metrics.gradients import Gradients
from warmflow.metrics.resampled import ResampledMetric
from warmflow.noise import permutation

Given = (
    Generator | Sequence[Generator] | Mapping[str, Generator | Sequence[Generator]]
    | Mapping[int, Tensor] | Sequence[Mapping[int, Tensor]] | Mapping[int, Mapping[int, Tensor]]
)  # fmt: skip
"""What a method may be given as: a generator; one a training seed; these by the name of their solver; or ready samples by
number of calls, for one training seed, a mapping a seed, or these by the number of the seed."""
SAMPLES = 2_000
STUDIES = 60
"""Simulated studies for each size that a plan tries."""
LEAST_REAL = 100
LOOKED_AT = 256
"""Samples of a generator that are looked at for clipping, at its fewest steps and at no more than 8."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A study and its verdicts, by candidate; ``plans`` say what it takes to tell where a verdict cannot."""

    study: Study
    verdicts: Mapping[str, Verdict]
    choices: tuple[Choice, ...] = ()
    plans: Mapping[str, Plan] = field(default_factory=dict)

    @staticmethod
    def of(study: Study, choices: Sequence[Choice] = (), rules: Rules | None = None) -> Evaluation:
        """The study judged; where seeds or samples are missing, planned."""
        verdicts = judge(study, rules)
        plans = {
            name: plan(study, name, studies=STUDIES)
            for name, v in verdicts.items()
            if len(study.seeds) > 1 and {Missing.SEEDS, Missing.SAMPLES} & set(v.missing)
        }
        return Evaluation(study, verdicts, tuple(c for c in choices if c.distances), plans)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the first candidate."""
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
    """What is known of the methods beside their samples; all of it may be left out, and the report says so.

    Args:
        starts: what candidates start from, by candidate: a generator or ready samples, at 0 calls.
        controls: the same recipe from noise, by candidate.
        calls_per_step: network calls a step, by method, where it is not 1 (Heun 2, guidance doubles).
        bill: one-off seconds, by method and by name ("draft", "pairing", "training").
        seconds: of ready samples, the seconds a sample, by method and number of calls.
        trained: what was held equal.
        given, counted: see ``Study``.
        items: what samples are called in sentences.
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
    """Judges candidates against baselines from their samples.

    Args:
        real: (m, *S) real data that no method was trained on. A third of it is set aside for choices unless ``validation``
            is given.
        baseline, candidates: methods by name; see ``Given``.
        train: (n, *S) what the methods were trained on; without it copying is not checked, and the kernel's width is that of
            ``validation``.
        inputs: what each row of the sets is the answer to, where samples answer an input; generators are then called with
            ``inputs=`` too, and ready samples are 4 draws or more of each input, see ``answers``.
        metrics: the first is the primary one; by default MMD on pixels and on gradients of images, on values of points, and
            divergences of 4- to 1-grams of tokens.
        samples: drawn from each generator; ready samples are taken as they are, and must be equally many.
        clip: a range that the samples of every method are clipped to, alike.

    Returns:
        The study and the verdicts: ``.answers``, ``.verdicts[name].outcome``.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    extras, rules = extras or Extras(), rules or Rules()
    entries = _entries(baseline, candidates, extras, clip)
    if inputs is not None:
        entries = [_answering(entry, inputs.asked) for entry in entries]
    ready = _ready(entries)
    _equal(ready)
    _apart(real if validation is not None else _least(real), train, validation, ready)
    if clip is None and real.is_floating_point():
        one_clipped({e.name: _looked_at(e, samples, None if inputs is None else inputs.asked) for e in entries})
    samples = len(next(iter(ready.values()))) if ready else samples
    if inputs is None:
        data = _real_data(real, train, validation, metrics, clip, samples)
    else:
        data = _paired_data(real, train, validation, metrics, inputs, samples)
        samples = min(samples, most(data.facts.test, data.facts.validation)) if ready else samples
    choices = [choose(entry, data, samples) for entry in entries]
    chosen = {c.method: c.chosen for c in choices}
    rows = tuple(measured(entries, chosen, data, samples, progress=progress))
    study = Study(
        methods=tuple(e.method(chosen[e.name]) for e in entries),
        rows=rows,
        metrics=data.metric_facts,
        real=data.facts,
        trained=extras.trained,
        given=extras.given,
        counted=extras.counted,
        times=() if ready else timed(entries, chosen, inputs=None if data.paired is None else data.paired.test.inputs),
        items=extras.items,
    )
    return Evaluation.of(study, choices, rules)


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
            "inputs needs train, which scales the pairs, and has metrics of its own; give train, leave metrics out"
        )
    images = real.ndim == 4 and min(real.shape[2:]) >= 8
    return paired_data(
        *inputs.parts(real, train, validation), extractors=[("gradients", Gradients())] if images else [],
        labeller=default_labeller(train), samples=samples,
    )  # fmt: skip


def _apart(real: Tensor, train: Tensor | None, validation: Tensor | None, ready: Mapping[str, Tensor]) -> None:
    """ValueError where real rows were trained on, chosen on, or are a method's samples."""
    others = {**({} if train is None else {"train": train}), **ready}
    overlaps(real, others if validation is None else {"validation": validation, **others})
    if validation is not None:
        overlaps(validation, others, "the validation data")


def _least(real: Tensor) -> Tensor:
    if len(real) < LEAST_REAL:
        raise ValueError(f"real has {len(real)} rows; a verdict needs at least {LEAST_REAL}: hold out more real data")
    return real


def _answering(entry: Entry, inputs: Tensor) -> Entry:
    """A method whose ready samples are answers to these inputs; generators are left as they are."""
    generators: dict[str, dict[int, Generator]] = {}
    for solver, by_seed in entry.generators.items():
        generators[solver] = {
            s: Answers.of(g.samples, inputs, entry.name) if isinstance(g, Ready) else g  # type: ignore[misc]
            for s, g in by_seed.items()
        }
    return replace(entry, generators=generators)


def _ready(entries: Sequence[Entry]) -> dict[str, Tensor]:
    """The ready samples of all methods (of answers the first draw), by what errors call them; empty for generators."""
    return {
        f"{e.name} at {calls} calls, seed {seed}": x if isinstance(generator, Ready) else x[0]
        for e in entries
        for generators in e.generators.values()
        for seed, generator in generators.items()
        if isinstance(generator, Ready | Answers)
        for calls, x in generator.samples.items()
    }


def _equal(ready: Mapping[str, Tensor]) -> None:
    """ValueError where ready samples are unequally many."""
    first = next(iter(ready.items()), None)
    for name, x in ready.items():
        if first is not None and len(x) != len(first[1]):
            raise ValueError(f"{name} has {len(x)} samples and {first[0]} {len(first[1])}; bring equally many of each")


def _looked_at(entry: Entry, samples: int, inputs: Tensor | None) -> list[Tensor]:
    """Samples of a method's first seed, as they are: all ready ones, or some of the generator of each solver."""
    found: list[Tensor] = []
    for solver, generators in entry.generators.items():
        generator = next(iter(generators.values()))
        if isinstance(generator, Ready | Answers):
            found += list(generator.samples.values())
            continue
        steps = entry.steps_of(solver)
        few = [s for s in steps if s <= 8]
        asked = None if inputs is None else inputs[:LOOKED_AT]
        n = min(samples, LOOKED_AT) if asked is None else len(asked)
        for k in {min(steps), max(few, default=min(steps))}:
            found.append(drawn(generator, n, k, CHOICE_SEED, asked)[0])
    return found


@dataclass(frozen=True, eq=False)
class Ready:
    """Ready samples by number of calls, as a generator: n of them, in the order of one fixed permutation.

    Choices are made on the last quarter of a row. Samples that came class by class would be tested and chosen on different
    classes; the same permutation for every set makes both parts random ones, and keeps pairs of sets together.
    """

    samples: Mapping[int, Tensor]

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor:
        x = self.samples[steps]
        return x[permutation(0, len(x), "rows")[:n]]


@dataclass(frozen=True, eq=False)
class Clipped:
    """A generator whose samples are clipped to a range."""

    generator: Generator
    low: float
    high: float

    def __call__(self, n: int, *, steps: int, seed: int, **given: Tensor) -> Tensor | Samples:
        found = self.generator(n, steps=steps, seed=seed, **given)
        if isinstance(found, Samples):
            return replace(found, x=found.x.clamp(self.low, self.high))
        return torch.as_tensor(found).clamp(self.low, self.high)


def _entries(
    baseline: Mapping[str, Given], candidates: Mapping[str, Given], extras: Extras, clip: tuple[float, float] | None
) -> list[Entry]:
    groups = [
        *((name, given, Role.BASELINE, "") for name, given in baseline.items()),
        *((name, given, Role.CANDIDATE, "") for name, given in candidates.items()),
        *((f"{name} from noise", given, Role.CONTROL, name) for name, given in extras.controls.items()),
        *((f"start of {name}", given, Role.START, name) for name, given in extras.starts.items()),
    ]
    return [_entry(name, given, role, of, extras, clip) for name, given, role, of in groups]


def _entry(name: str, given: Given, role: Role, of: str, extras: Extras, clip: tuple[float, float] | None) -> Entry:
    """A method as it was given, in the one form that is measured."""
    per_step = extras.calls_per_step.get(name, 1)
    calls: dict[str, Callable[[int], float]] = {}
    solvers: Mapping[str, object] = {"": given}
    if isinstance(given, Mapping) and given and all(isinstance(k, str) for k in given):
        solvers = dict(given)  # type: ignore[arg-type]
    generators: dict[str, dict[int, Generator]] = {}
    steps: dict[str, Sequence[int]] = {}
    for solver, one in solvers.items():
        generators[solver] = {seed: _generator(name, part, role, clip) for seed, part in _by_seed(one).items()}
        sets = {seed: g.samples for seed, g in generators[solver].items() if isinstance(g, Ready)}
        if sets:
            steps[solver] = _same_steps(name, sets)
        if per_step != 1:
            calls[solver] = lambda k, per_step=per_step: per_step * k  # type: ignore[misc]
    ready = bool(steps)
    seconds = extras.seconds.get(name, {})
    return Entry(name, role, generators, steps, calls, of, extras.bill.get(name, {}), ready, seconds=seconds)


def _by_seed(given: object) -> dict[int, object]:
    """Each training seed's generator or samples by number of calls."""
    if isinstance(given, Mapping) and given and all(isinstance(v, Mapping) or callable(v) for v in given.values()):
        return dict(sorted(given.items()))
    return dict(enumerate(given)) if isinstance(given, Sequence) else {0: given}


def _generator(name: str, part: object, role: Role, clip: tuple[float, float] | None) -> Generator:
    if isinstance(part, Mapping):
        bad = [k for k in part if isinstance(k, bool) or not isinstance(k, int) or k < (role is not Role.START)]
        if bad or not part:
            raise ValueError(f"{name} has samples at {bad or 'no'} calls; give whole numbers of at least 1")
        return Ready({k: _clip(torch.as_tensor(x), clip) for k, x in sorted(part.items())})
    if callable(part):
        generator: Generator = part
        return generator if clip is None else Clipped(generator, *clip)
    raise ValueError(
        f"{name} is a {type(part).__name__}; give a generator(n, steps=, seed=), or samples by number of calls"
    )


def _same_steps(name: str, sets: Mapping[int, Mapping[int, Tensor]]) -> list[int]:
    """The numbers of calls of ready samples by seed and calls; ValueError where seeds differ in them, or sets in size."""
    first = next(iter(sets))
    for seed, samples in sets.items():
        if list(samples) != list(sets[first]):
            raise ValueError(
                f"{name} has samples at {list(sets[first])} calls under seed {first} and at {list(samples)} under seed {seed}; "
                "bring the same numbers of calls under every seed"
            )
        if len({len(x) for x in samples.values()}) > 1:
            have = ", ".join(f"{len(x)} at {k}" for k, x in samples.items())
            raise ValueError(f"{name} has unequal numbers of samples ({have}); bring equally many at every step")
    return list(sets[first])


def _clip(x: Tensor, clip: tuple[float, float] | None) -> Tensor:
    return x if clip is None else x.clamp(*clip)
