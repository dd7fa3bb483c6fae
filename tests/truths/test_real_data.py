"""What samples are measured by, one kind of data after the other: planted faults are found, and the truth is let pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import planted_data
import pytest
import torch
from planted_data import KINDS
from torch import Tensor

from warmflow.data.given import halves
from warmflow.evaluation.exchange import ERROR, shown_worse
from warmflow.evaluation.guards import COPYING_SLACK, Guard, guards
from warmflow.evaluation.real import QUANTILES, RealData
from warmflow.evaluation.study import Measure, Method, RealFacts, Role, Row, Study
from warmflow.metrics.copying import CopyingReference
from warmflow.metrics.features import clusters_of
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.judged import judged
from warmflow.metrics.mmd import MMD, mmd_for
from warmflow.noise import Noise, permutation
from warmflow.problems.measures import MOST, held_out, real_data
from warmflow.sources import NGram

SAMPLES, SEEDS = 1_200, 4
LOST = (0, 3, 6)


@cache
def real_of(kind: str) -> tuple[RealData, dict[str, object]]:
    return real_data(KINDS[kind]().data, SAMPLES)


@cache
def measured(kind: str, what: str) -> tuple[Measure, ...]:
    """What is measured of a planted method, by training seed."""
    planted, (real, _) = KINDS[kind](), real_of(kind)
    found = []
    for s in range(SEEDS):
        seed = s + 10 * ["truth", "again", "spoiled", "without", "copies"].index(what)
        x = {
            "truth": planted.samples,
            "again": planted.samples,
            "spoiled": lambda n, seed: planted.spoil(planted.samples(n, seed)),
            "without": lambda n, seed: planted.without(LOST, n, seed),
            "copies": planted.copying,
        }[what](SAMPLES, seed)
        found.append(real.measure(x))
    return tuple(found)


def worse(real: RealData, ours: tuple[Measure, ...], theirs: tuple[Measure, ...]) -> bool:
    """Whether theirs is shown to be worse than ours."""
    methods = {"ours": (ours, Role.CANDIDATE), "theirs": (theirs, Role.BASELINE)}
    study = Study(
        methods=tuple(Method(name, role) for name, (_, role) in methods.items()),
        rows=tuple(Row(n, 1, 1.0, s, m) for n, (found, _) in methods.items() for s, m in enumerate(found)),
        metrics=real.metric_facts,
        real=real.facts,
    )
    names = [m.name for m in study.metrics]
    return bool(shown_worse(study.curve("ours"), 0, study.curve("theirs"), names, ERROR)[0])


def guard(kind: str, what: str, name: str) -> Guard:
    found = guards(measured(kind, what), measured(kind, "truth"), real_of(kind)[0].facts)
    return next(g for g in found if g.name == name)


# ---------------------------------------------------------------- each kind of data

METRICS = {
    "labelled": ["classifier features", "pixels", "gradients"],
    "unlabelled": ["pixels", "gradients"],
    "points": ["coordinates", "coordinates, fine"],
    "gridded": ["coordinates", "coordinates, fine"],
    "texts": ["4-grams", "3-grams", "2-grams", "1-grams", "judged features"],
}
GUARDS = {
    "labelled": ["class variation", "copying"],
    "unlabelled": ["class variation", "copying"],
    "points": ["class variation", "copying"],
    "gridded": ["class variation"],
    "texts": ["class variation", "copying"],
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_passes_and_is_not_told_from_itself(kind: str) -> None:
    real, facts = real_of(kind)
    assert [m.name for m in real.metrics] == METRICS[kind]
    found = guards(measured(kind, "again"), measured(kind, "truth"), real.facts)
    assert [g.name for g in found] == GUARDS[kind] and all(g.passes for g in found)
    assert not worse(real, measured(kind, "truth"), measured(kind, "again"))
    assert not worse(real, measured(kind, "again"), measured(kind, "truth"))
    if kind == "labelled":
        assert facts["classifier_accuracy"] > 0.8  # type: ignore[operator]


@pytest.mark.parametrize("kind", KINDS)
def test_slightly_spoiled_samples_are_shown_to_be_worse(kind: str) -> None:
    real, _ = real_of(kind)
    assert worse(real, measured(kind, "truth"), measured(kind, "spoiled"))
    assert not worse(real, measured(kind, "spoiled"), measured(kind, "truth"))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "texts"])
def test_missing_classes_fail_the_class_guard_with_or_without_labels(kind: str) -> None:
    found = guard(kind, "without", "class variation")
    assert not found.passes and found.estimate > 2 * found.limit


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "gridded"])
def test_a_fifth_of_copies_fails_the_copying_guard_and_no_metric_sees_it(kind: str) -> None:
    real, _ = real_of(kind)
    found = guard(kind, "copies", "copying")
    assert not found.passes and found.estimate > 0.15
    assert "nearer to the training set than" in found.detail
    if kind != "texts":
        assert not worse(real, measured(kind, "truth"), measured(kind, "copies"))


@pytest.mark.long
def test_text_with_less_variety_is_worse_however_likely_it_is() -> None:
    """A weaker model of the training text, the likelier half of real windows, one word again and again, windows that repeat
    their first letters: each is shown to be worse, and none of them shows real text to be."""
    real, planted = real_of("texts")[0], planted_data.texts()
    weak = NGram.fit(planted.data.streams["train"], vocabulary=27, order=3, length=planted_data.LENGTH)
    truth = planted_data.truth_of_text()
    said = [planted_data.LETTERS.encode(f"{w} ") for w in ("the", "object", "is", "class", "name")]

    def likely(seed: int) -> Tensor:
        x = planted.samples(2 * SAMPLES, seed)
        best = judged(truth, x).mean(1).topk(SAMPLES).indices
        return x[best[permutation(seed, SAMPLES)]]

    def words(seed: int) -> Tensor:
        chosen = np.random.default_rng(seed).integers(len(said), size=SAMPLES)
        return torch.stack([said[i].repeat(planted_data.LENGTH)[: planted_data.LENGTH] for i in chosen])

    for draw in (
        lambda seed: weak.draw(SAMPLES, noise=Noise.of(500 + seed, SAMPLES)).x0,
        likely,
        words,
        lambda seed: planted.samples(SAMPLES, 200 + seed)[:, :8].repeat(1, planted_data.LENGTH // 8),
    ):
        found = tuple(real.measure(draw(90 + s)) for s in range(SEEDS))
        assert worse(real, measured("texts", "truth"), found)
        assert not worse(real, found, measured("texts", "truth"))


def test_a_classifier_sees_a_missing_class_as_the_share_of_it() -> None:
    """Total variation to real data is the share of the lost classes, three of eight, up to sampling."""
    found = guard("labelled", "without", "class variation")
    assert found.estimate == pytest.approx(3 / 8, abs=0.07)


def test_the_limit_of_variation_is_what_sampling_gives() -> None:
    """Of 300 fresh sets of the truth about one in twenty is above the limit; the baseline's own variation lifts it."""
    real, _ = real_of("gridded")
    planted, above = KINDS["gridded"](), 0
    shares = real.facts.shares
    assert shares is not None
    rng = np.random.default_rng(0)
    for _ in range(300):
        test, ours = (rng.multinomial(n, shares.numpy()) / n for n in (real.facts.test, SAMPLES * 3 // 4))
        above += 0.5 * np.abs(test - ours).sum() > real.facts.variation_limit
    assert 0.02 < above / 300 < 0.09
    uneven = measured("gridded", "without")
    (alone,) = guards(uneven, measured("gridded", "truth"), real.facts)
    (beside,) = guards(uneven, uneven, real.facts)
    assert not alone.passes and beside.passes
    assert planted.data.kind == "tokens"


# ---------------------------------------------------------------- guards on hand-made shares


def measure(copies: float) -> Measure:
    return Measure(1_000, {}, {}, {}, None, torch.tensor([copies], dtype=torch.float64))


FACTS = RealFacts(1_000, 500, quantiles=(0.05,), copying_noise=(0.007,))


def test_a_guard_has_to_be_sure_and_is_one_sided() -> None:
    base = [measure(0.05)] * 4
    (sure,) = guards([measure(s) for s in (0.20, 0.21, 0.20, 0.21)], base, FACTS)
    (unlike,) = guards([measure(s) for s in (0.02, 0.40, 0.02, 0.38)], base, FACTS)
    (none,) = guards([measure(0.0)] * 4, base, FACTS)
    assert not sure.passes and not unlike.passes and none.passes, "networks that copy are no excuse for one another"
    assert sure.estimate == unlike.estimate == pytest.approx(0.205)
    assert sure.limit == pytest.approx(0.05 + COPYING_SLACK)
    (same,) = guards([measure(0.2)] * 4, [measure(0.2)] * 4, FACTS)
    assert same.passes, "a baseline that copies as much is beside it"
    (just,) = guards([measure(0.05 + COPYING_SLACK + 0.005)] * 4, base, FACTS)
    assert just.passes, "real data's own noise is counted"


# ---------------------------------------------------------------- the sets


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def made(**more: object) -> RealData:
    given: dict[str, object] = {"test": normal(0, 200, 2), "validation": normal(1, 100, 2), "metrics": [MMD("d", 1.2)]}
    return RealData.of(**{**given, **more})  # type: ignore[arg-type]


def test_a_measure_is_the_distance_of_three_quarters_and_chooses_on_the_last() -> None:
    real, x, metric = made(), normal(2, 80, 2), MMD("d", 1.2)
    found = real.measure(x)
    assert found.distance["d"] == pytest.approx(metric.distance(x[:60], normal(0, 200, 2)), abs=1e-12)
    assert found.validation["d"] == pytest.approx(metric.distance(x[60:], normal(1, 100, 2)), abs=1e-12)
    assert len(found.replicates["d"]) == 200 and found.samples == 80
    assert real.validated(x, "d") == pytest.approx(metric.distance(x, normal(1, 100, 2)), abs=1e-12)


def test_samples_for_the_choice_do_not_enter_the_verdict_and_the_other_way_round() -> None:
    real, x, other = made(labeller=clusters_of(normal(3, 200, 2), 4)), normal(2, 80, 2), normal(9, 80, 2) + 3
    both = real.measure(x)
    chosen = real.measure(torch.cat([x[:60], other[60:]]))
    tested = real.measure(torch.cat([other[:60], x[60:]]))
    assert chosen.distance == both.distance and chosen.validation != both.validation
    assert chosen.classes is not None and both.classes is not None and torch.equal(chosen.classes, both.classes)
    assert tested.validation == both.validation and tested.distance != both.distance


def test_methods_share_the_resamplings_of_the_real_set() -> None:
    """The replicates of two methods hang together by the real set alone; under another set of counts they do not."""
    real = made()
    a, b = (real.measure(normal(s, 80, 2) + 0.5).replicates["d"].numpy() for s in (5, 6))
    assert np.corrcoef(a, b)[0, 1] > 0.7
    other = made(seed=4).measure(normal(6, 80, 2) + 0.5).replicates["d"].numpy()
    assert abs(np.corrcoef(a, other)[0, 1]) < 0.25


def test_the_unit_is_the_scatter_of_the_test_set() -> None:
    real = made()
    (facts,) = real.metric_facts
    assert facts.scatter == pytest.approx(MMD("d", 1.2).scatter(normal(0, 200, 2)), abs=1e-12)
    assert made(metrics=[MMD("d", 1.2), MMD("e", 0.4)]).metric_facts[1].scatter != facts.scatter


def test_copying_is_that_of_the_training_set_unless_another_is_given() -> None:
    train, x = normal(8, 150, 2), normal(2, 80, 2)
    reference = CopyingReference.of(train, normal(1, 100, 2), normal(0, 200, 2), QUANTILES)
    real = made(train=train)
    found, none = real.measure(x).copies, made().measure(x).copies
    assert found is not None and torch.equal(found, reference.shares(x[:60])) and none is None
    assert real.facts.quantiles == QUANTILES
    assert real.facts.copying_noise == pytest.approx([(q * (1 - q) / 200) ** 0.5 for q in QUANTILES])
    other = CopyingReference.of(train + 1, normal(1, 100, 2), normal(0, 200, 2), (0.5,))
    given = made(train=train, copying=other).measure(x).copies
    assert given is not None and torch.equal(given, other.shares(x[:60]))
    few = made(test=normal(0, 60, 2), train=train)
    assert few.facts.quantiles == (0.05,), "a level of less than one real row is left out"


def test_what_is_shown_decides_nothing() -> None:
    real = made(beside=(Frechet(),))
    found = real.measure(normal(2, 80, 2))
    assert list(found.beside) == [Frechet().name] and list(found.distance) == ["d"]


def test_sets_are_named_by_their_values() -> None:
    assert made().digest == made().digest
    changed = normal(0, 200, 2)
    changed[7, 1] += 1e-9
    assert made(test=changed).digest != made().digest != made(validation=normal(4, 100, 2)).digest
    assert made(train=normal(8, 50, 2)).digest != made().digest


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"metrics": []}, "at least one, each with its own name"),
        ({"metrics": [MMD("a", 1.0), MMD("a", 2.0)]}, "each with its own name"),
        ({"test": normal(0, 19, 2)}, "test has 19 samples; a distance needs at least 20"),
        ({"validation": normal(0, 50, 3)}, r"validation has samples of shape \(3,\), the real data \(2,\)"),
        ({"test": torch.full((50, 2), float("nan"))}, "test has 50 of 50 samples with NaN"),
        ({"train": normal(0, 50, 3)}, r"train has samples of shape \(3,\)"),
    ],
)  # fmt: skip
def test_sets_that_cannot_be_measured_against_are_named(more: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made(**more)


def test_samples_that_cannot_be_measured_are_named() -> None:
    real = made(bounds=(-4.0, 4.0))
    for x, says in (
        (normal(0, 19, 2), "warm at 4 steps, has 19 samples"),
        (normal(0, 40, 3), r"warm at 4 steps, has samples of shape \(3,\)"),
        (normal(0, 40, 2).index_fill(0, torch.tensor([3]), float("inf")), "has 1 of 40 samples with NaN or infinite"),
        (5 * normal(0, 40, 2), r"outside -4 \.\. 4: clip the samples of every method alike, or of none"),
    ):
        with pytest.raises(ValueError, match=says):
            real.measure(x, "warm at 4 steps,")


def test_halves_are_disjoint_and_together_whole() -> None:
    x = torch.arange(100)
    test, validation = halves(x)
    assert len(validation) == 33 and torch.equal(torch.cat([test, validation]).sort().values, x)
    assert not torch.equal(halves(x, seed=1)[0], test)


def test_held_out_divides_data_that_has_too_little_to_choose_on() -> None:
    data = planted_data.points().data
    test, validation = held_out(data)
    assert data.validation is not None
    assert torch.equal(test, data.heldout.x1) and torch.equal(validation, data.validation.x1)
    some = replace(data.validation, x1=data.validation.x1[:99], index=torch.arange(99))
    for few, sizes in ((None, (467, 233)), (some, (533, 266))):
        test, validation = held_out(replace(data, validation=few))
        assert (len(test), len(validation)) == sizes
        whole = torch.cat([data.heldout.x1, *([] if few is None else [few.x1])])
        assert torch.equal(torch.cat([test, validation]).sort(0).values, whole.sort(0).values)
    many = replace(data.heldout, x1=normal(0, MOST + 7, 2).float())
    assert len(held_out(replace(data, heldout=many))[0]) == MOST


def test_choosing_a_kernel_looks_at_the_training_set_alone() -> None:
    planted = planted_data.points()
    other = replace(planted.data, heldout=replace(planted.data.heldout, x1=10 * planted.data.heldout.x1))
    widths = [[m.scale for m in real_data(d, 400)[0].metrics if isinstance(m, MMD)] for d in (planted.data, other)]
    assert widths[0] == widths[1] == [mmd_for(planted.data.train.x1).scale, mmd_for(planted.data.train.x1).scale / 8]


# ---------------------------------------------------------------- samples that answer an input


@cache
def restored() -> tuple[RealData, object]:
    real, facts = real_data(planted_data.restorations(), 400)
    assert real.paired is not None
    return replace(real, paired=replace(real.paired, span=None)), facts  # PSNR and SSIM decide nothing


@pytest.mark.long
def test_restorations_are_measured_as_pairs_and_by_a_proper_score() -> None:
    real, facts = restored()
    assert [m.name for m in real.metrics] == [
        "pairs of input and output",
        "outputs",
        "classifier features",
        "gradients",
    ]
    energy = real.metric_facts[-1]
    assert (energy.name, energy.scatter, energy.zero) == ("energy score", None, False)
    assert facts["classifier_accuracy"] > 0.8  # type: ignore[index]
    assert real.paired is not None and real.paired.halves.input == real.paired.halves.output == (1, 8, 8)
    inputs = real.paired.asked(400, 0)
    data = planted_data.restorations()
    assert data.validation is not None
    known = [{row.numpy().tobytes() for row in p.condition["input"]} for p in (data.validation, data.heldout)]
    for rows, which in ((inputs[:300], 0), (inputs[300:], 1)):
        assert all(row.numpy().tobytes() in known[which] for row in rows), (
            "answers are measured against other inputs' truths"
        )


def test_a_row_of_restorations_holds_the_score_and_the_pairs() -> None:
    """Outputs that are the truths of other inputs have the outputs' distribution and not that of the pairs."""
    real, _ = restored()
    assert real.paired is not None
    data, paired = planted_data.restorations(), real.paired
    inputs, truth = (torch.cat([getattr(p, k) for p in (paired.validation, paired.test)]) for k in ("inputs", "truth"))
    place = {row.numpy().tobytes(): i for i, row in enumerate(inputs)}

    def answers(asked: Tensor, shift: int) -> Tensor:
        rows = torch.tensor([place[row.numpy().tobytes()] for row in asked])
        return truth[(rows + shift) % len(truth)]

    asked = paired.asked(400, 0)
    own, other = (
        paired.scored(real.measure(paired.halves.joined(asked, answers(asked, k))), lambda x, s, k=k: answers(x, k))  # type: ignore[misc]
        for k in (0, 137)
    )
    assert set(own.distance) == {m.name for m in real.metric_facts} == set(own.replicates) == set(own.validation)
    assert abs(own.distance["energy score"]) < 1e-9 and other.distance["energy score"] > 0.1
    assert other.distance["pairs of input and output"] > 5 * abs(own.distance["pairs of input and output"])
    assert abs(other.distance["outputs"]) < other.distance["pairs of input and output"] / 3, (
        "the outputs alone are right"
    )
    assert len(data.heldout) == len(paired.test)
