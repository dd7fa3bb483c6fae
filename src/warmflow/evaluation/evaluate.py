"""``warmflow.evaluate``: a verdict for generators or ready samples of anyone's; nothing is trained, and no plan is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.real import RealData, halves
from warmflow.evaluation.rows import Choice, Entry, Generator, choose, measured, timed
from warmflow.evaluation.sentences import Answer, answer
from warmflow.evaluation.study import Role, Study, Training
from warmflow.evaluation.verdict import Verdict, judge
from warmflow.metrics.features import Clusters, clusters_of
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import ResampledMetric
from warmflow.metrics.variation import Labeller

Given = (
    Generator | Sequence[Generator] | Mapping[str, Generator | Sequence[Generator]]
    | Mapping[int, Tensor] | Sequence[Mapping[int, Tensor]]
)  # fmt: skip
"""What a method may be given as: a generator; one a training seed; these by the name of their solver; or ready samples by
number of calls, for one training seed or a mapping a seed."""
SAMPLES = 2_000
CLUSTERS = 10
LEAST_REAL = 100


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A study and its verdicts, by candidate."""

    study: Study
    verdicts: Mapping[str, Verdict]
    choices: tuple[Choice, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on the first candidate."""
        return next(iter(self.verdicts.values()))

    @property
    def answers(self) -> dict[str, Answer]:
        """Each verdict in words."""
        return {name: answer(v, self.study) for name, v in self.verdicts.items()}

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
        trained: what was held equal.
        given, counted: see ``Study``.
        items: what samples are called in sentences.
    """

    starts: Mapping[str, Given] = field(default_factory=dict)
    controls: Mapping[str, Given] = field(default_factory=dict)
    calls_per_step: Mapping[str, int] = field(default_factory=dict)
    bill: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
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
        metrics: the first is the primary one; by default MMD on pixels and on gradients of images, on values of points.
        samples: drawn from each generator; ready samples are taken as they are, and must be equally many.
        clip: a range that the samples of every method are clipped to, alike.

    Returns:
        The study and the verdicts: ``.answers``, ``.verdicts[name].outcome``.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    extras, rules = extras or Extras(), rules or Rules()
    test, validation = (real, validation) if validation is not None else halves(_least(real))
    ready = [x for group in (baseline, candidates) for one in group.values() for x in _ready(one)]
    samples = len(ready[0]) if ready else samples
    for name, one in {**baseline, **candidates}.items():
        for x in _ready(one):
            if len(x) != samples:
                raise ValueError(f"{name} has {len(x)} samples and {next(iter(baseline))} {samples}; bring equally many of each")
    overlaps(test, validation, train, ready)
    reference = validation if train is None else train
    labeller = _clusters(reference)
    data = RealData.of(
        test, validation, metrics or default_metrics(reference), train=train, labeller=labeller, bounds=clip, samples=samples
    )
    entries = _entries(baseline, candidates, extras, clip)
    scatter = data.metric_facts[0].scatter
    floor = scatter / len(validation) if scatter is not None else 1e-12
    choices = [choose(entry, data, samples, floor) for entry in entries]
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
        times=() if ready else timed(entries, chosen),
        items=extras.items,
    )
    return Evaluation(study, judge(study, rules), tuple(c for c in choices if c.distances))


def default_metrics(train: Tensor) -> list[ResampledMetric]:
    """MMD on pixels and, of images of 8 x 8 and more, on oriented gradients; of all else MMD on values."""
    if train.ndim != 4:
        return [mmd_for(train, None, "values")]
    found: list[ResampledMetric] = [mmd_for(train, None, "pixels")]
    if min(train.shape[2:]) >= 8:
        from warmflow.metrics.gradients import Gradients

        found.append(mmd_for(train, Gradients(), "gradients"))
    return found


def _clusters(reference: Tensor) -> Labeller | None:
    k = min(CLUSTERS, len(reference) // 20)
    found: Clusters | None = clusters_of(reference, k) if k > 1 and reference.is_floating_point() else None
    return found


def _least(real: Tensor) -> Tensor:
    if len(real) < LEAST_REAL:
        raise ValueError(f"real has {len(real)} rows; a verdict needs at least {LEAST_REAL}: hold out more real data")
    return real


def _ready(given: Given) -> list[Tensor]:
    """The ready samples of a method, in order; empty for generators."""
    parts = given if isinstance(given, Sequence) else [given]
    return [
        x for part in parts if isinstance(part, Mapping) and all(isinstance(k, int) for k in part) for x in part.values()
        if isinstance(x, Tensor)
    ]  # fmt: skip


def overlaps(test: Tensor, validation: Tensor, train: Tensor | None, ready: Sequence[Tensor]) -> None:
    """ValueError where real rows stand in the training data, or are a method's samples: such a distance means nothing."""
    real = {row.tobytes() for x in (test, validation) for row in x.reshape(len(x), -1).numpy()}
    sets = [("train", train), *((f"the samples of set {i + 1}", x) for i, x in enumerate(ready))]
    for name, x in sets:
        if x is None:
            continue
        rows = x.to(test.dtype).reshape(len(x), -1).numpy()
        again = sum(row.tobytes() in real for row in rows)
        if again > max(1, len(real) // 100):
            raise ValueError(
                f"{again} rows of {name} are rows of the real data too: hold out real data that nothing was trained on or "
                "copied from"
            )


@dataclass(frozen=True, eq=False)
class Ready:
    """Ready samples by number of calls, as a generator: the first n of them."""

    samples: Mapping[int, Tensor]

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor:
        return self.samples[steps][:n]


@dataclass(frozen=True, eq=False)
class Clipped:
    """A generator whose samples are clipped to a range."""

    generator: Generator
    low: float
    high: float

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor:
        found = self.generator(n, steps=steps, seed=seed)
        x = found if isinstance(found, Tensor) else found.x
        return x.clamp(self.low, self.high)


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


def _entry(
    name: str, given: Given, role: Role, of: str, extras: Extras, clip: tuple[float, float] | None
) -> Entry:
    """A method as it was given, in the one form that is measured."""
    per_step = extras.calls_per_step.get(name, 1)
    calls: dict[str, Callable[[int], float]] = {}
    solvers: Mapping[str, object] = {"": given}
    if isinstance(given, Mapping) and given and all(isinstance(k, str) for k in given):
        solvers = dict(given)  # type: ignore[arg-type]
    generators: dict[str, dict[int, Generator]] = {}
    steps: dict[str, Sequence[int]] = {}
    for solver, one in solvers.items():
        seeds = list(one) if isinstance(one, Sequence) else [one]
        found: dict[int, Generator] = {}
        for seed, part in enumerate(seeds):
            if isinstance(part, Mapping):
                bad = [k for k in part if isinstance(k, bool) or not isinstance(k, int) or k < (role is not Role.START)]
                if bad or not part:
                    raise ValueError(f"{name} has samples at {bad or 'no'} calls; give whole numbers of at least 1")
                tensors = {k: _clip(torch.as_tensor(x), clip) for k, x in part.items()}
                steps[solver] = sorted(tensors)
                found[seed] = Ready(tensors)
                if len({len(x) for x in tensors.values()}) > 1:
                    have = ", ".join(f"{len(x)} at {k}" for k, x in sorted(tensors.items()))
                    raise ValueError(f"{name} has unequal numbers of samples ({have}); bring equally many at every step")
            elif callable(part):
                found[seed] = part if clip is None else Clipped(part, *clip)
            else:
                raise ValueError(
                    f"{name} is a {type(part).__name__}; give a generator(n, steps=, seed=), or samples by number of calls"
                )
        generators[solver] = found
        if per_step != 1:
            calls[solver] = lambda k, per_step=per_step: per_step * k  # type: ignore[misc]
    ready = any(isinstance(g, Ready) for found in generators.values() for g in found.values())
    return Entry(name, role, generators, steps, calls, of, extras.bill.get(name, {}), ready)


def _clip(x: Tensor, clip: tuple[float, float] | None) -> Tensor:
    return x if clip is None else x.clamp(*clip)
