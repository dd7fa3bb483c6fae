"""Sets as users bring them: arrays, uint8, tensors with gradients; what does not fit is one line that names the set."""

import pytest
import torch

from warmflow.contracts import Samples, Start
from warmflow.data.ready import Inputs
from warmflow.evaluation.evaluate import Extras, evaluate
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.verdict import Note

N, CALLS = 160, (1, 2)


def points(n, seed, shift=0.0):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)) + shift


REAL, TRAIN = points(300, 1), points(300, 2)


def method(first, scale):
    return [{k: points(N, first + 10 * s + k, scale / k) for k in CALLS} for s in range(2)]


def judged(real=REAL, baseline=None, candidate=None, **more):
    baseline = method(100, 2.0) if baseline is None else baseline
    candidate = method(300, 0.5) if candidate is None else candidate
    return evaluate(real, baseline={"cold": baseline}, candidates={"warm": candidate}, **more)


def distances(found):
    return [r.measure.distance for r in found.study.rows]


def test_arrays_gradients_and_half_precision_are_taken():
    expected = distances(judged(train=TRAIN))
    numpy = [{k: x.numpy() for k, x in part.items()} for part in method(100, 2.0)]
    assert distances(judged(REAL.numpy(), numpy, train=TRAIN.numpy())) == expected
    assert distances(judged(REAL.requires_grad_(True), train=TRAIN)) == expected
    REAL.requires_grad_(False)
    assert Note.NO_TRAINING_DATA not in judged(train=TRAIN).verdict.notes
    found = judged()
    assert {Note.NO_TRAINING_DATA, Note.CALLS_GIVEN, Note.SOLVERS_UNKNOWN} <= set(found.verdict.notes)
    assert "Copying was not checked: no training data were given." in found.answers["warm"].notes


def images(n, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.tanh(torch.randn(n, 1, 8, 8, generator=g) + torch.randn(n, 1, 1, 1, generator=g))


@pytest.mark.long
def test_images_in_bytes_are_those_in_floats():
    def sets(first, form):
        return [{k: form(images(N, first + 10 * s + k)) for k in CALLS} for s in range(2)]

    def to_bytes(x):
        return ((x + 1) * 127.5).round().to(torch.uint8)

    def to_floats(x):
        return to_bytes(x).float() / 127.5 - 1

    real = images(300, 1)
    one = judged(to_bytes(real), sets(100, to_bytes), sets(300, to_bytes))
    other = judged(to_floats(real), sets(100, to_floats), sets(300, to_floats))
    assert [list(d.values()) for d in distances(one)] == [pytest.approx(list(d.values())) for d in distances(other)]
    with pytest.raises(ValueError, match=r"cold has values from .* beside \[-1, 1\]; scale all to"):
        judged(real, sets(100, lambda x: (x + 1) / 2), sets(300, lambda x: x))


def changed(change):
    sets = method(100, 2.0)
    sets[0][1] = change(sets[0][1])
    return sets


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: {"baseline": []}, "cold is empty; give a generator"),
        (lambda: {"baseline": {}}, "cold has samples at no calls"),
        (lambda: {"baseline": changed(lambda x: x.long())}, "cold at 1 calls holds whole numbers and the real data floats"),
        (lambda: {"baseline": changed(lambda x: x.to(torch.complex64))}, "cold at 1 calls holds complex64 numbers"),
        (lambda: {"baseline": changed(lambda x: x[:, :2])}, r"cold at 1 calls has samples of shape \(2,\) and the real"),
        (lambda: {"baseline": changed(lambda x: x[:0])}, r"cold at 1 calls has shape \(0, 3\); give at least one row"),
        (lambda: {"baseline": changed(lambda x: torch.tensor(1.0))}, r"cold at 1 calls has shape \(\); give at least one row"),
        (lambda: {"baseline": changed(lambda x: x.index_fill(0, torch.tensor([3]), float("nan")))},
         "cold at 1 calls has 1 of 160 rows with NaN or infinite values"),
        (lambda: {"baseline": {0: method(100, 2.0)[0], "a": method(100, 2.0)[1]}}, "samples under the training seed 'a'"),
        (lambda: {"real": REAL.index_fill(0, torch.tensor([0]), float("inf"))}, "real has 1 of 300 rows with NaN or infinite"),
        (lambda: {"train": TRAIN.index_fill(0, torch.tensor([0]), float("nan"))}, "train has 1 of 300 rows with NaN"),
        (lambda: {"train": [["a"]]}, "train is a list; give a tensor or an array"),
        (lambda: {"extras": Extras(calls_per_step={"Warm": 10})}, "calls_per_step names 'Warm', which is not one of cold, warm"),
        (lambda: {"extras": Extras(starts={"wram": method(1, 1)})}, "starts names 'wram', which is not one of warm"),
        (lambda: {"extras": Extras(calls_per_step={"warm": 0})}, "calls_per_step of warm is 0; give a whole number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_the_remedy(given, said):
    with pytest.raises(ValueError, match=said):
        judged(**given())


def test_rules_are_bounded():
    with pytest.raises(ValueError, match="useful is 0; give a share above 0"):
        Rules(useful=0)
    with pytest.raises(ValueError, match="error is 0.5; give a probability of error above 0 and at most 0.025"):
        Rules(error=0.5)


def test_truths_hidden_in_a_later_draw_are_found():
    inputs, train_inputs = points(300, 5), points(300, 6)
    truth, train = inputs + points(300, 7) / 2, train_inputs + points(300, 8) / 2

    def answers(seed):
        return inputs + torch.randn(4, 300, 3, generator=torch.Generator().manual_seed(seed)) / 2

    cheat = answers(3)
    cheat[2] = truth
    with pytest.raises(ValueError, match="300 rows of warm at 1 calls, seed 0 are rows of the real data too"):
        evaluate(
            truth, baseline={"cold": [{1: answers(1)}, {1: answers(2)}]}, train=train, inputs=Inputs(inputs, train_inputs),
            candidates={"warm": [{1: cheat}, {1: answers(4)}]},
        )  # fmt: skip


# ---------------------------------------------------------------- honest comparisons that are not refused


def sets(form, first, scale, calls=CALLS, seeds=2):
    return [{k: form(points(N, first + 10 * s + k, scale / k)) for k in calls} for s in range(seeds)]


@pytest.mark.parametrize(
    "form", [torch.sigmoid, lambda x: (10 * torch.sigmoid(x)).round(), lambda x: 255 * torch.sigmoid(x)],
    ids=["probabilities", "counts", "0 to 255"],
)  # fmt: skip
def test_data_that_are_never_negative_are_judged(form):
    found = judged(form(REAL), sets(form, 100, 2.0), sets(form, 300, 0.5), train=form(TRAIN))
    assert len(found.study.rows) == 8


def test_distinct_images_of_any_scale_are_distinct():
    g = torch.Generator().manual_seed(3)
    real, train = (1_000 * torch.randn(n, 1, 4, 4, generator=g) for n in (200, 200))
    made = [[{k: 1_000 * torch.randn(N, 1, 4, 4, generator=g) for k in CALLS} for _ in range(2)] for _ in range(2)]
    assert judged(real, *made, train=train).study.samples == N


def test_calls_of_a_step_are_no_factor_of_calls_that_are_given():
    """Heun at 2, 4 and 8 calls: no row at 3 or 1 is missing, and 8 calls are 8."""
    cold = sets(lambda x: x, 100, 3.0, (2, 4, 8))
    found = judged(baseline=cold, extras=Extras(calls_per_step={"cold": 2}))
    curve = found.study.curve("cold")
    assert curve.calls.tolist() == [2, 4, 8] and curve.per_step == 2


def test_counted_calls_tell_what_a_step_costs():
    def heun(first):
        def draw(n, *, steps, seed):
            x = points(n, first + 100 * steps + seed, 2.0 / steps)
            return Samples(x, Start(x), steps, torch.full((n,), 2 * steps - 1), 0.1, 0.0)

        return draw

    found = evaluate(
        REAL, baseline={"cold": [heun(k) for k in (10, 20)]}, candidates={"warm": [heun(k) for k in (30, 40)]}, samples=N,
        train=TRAIN, clip=(-9, 9),
    )  # fmt: skip
    curve = found.study.curve("cold")
    assert curve.per_step == 2 and curve.calls[:3].tolist() == [1, 3, 5] and found.study.calls_counted


def test_generators_are_held_against_the_real_data_too():
    def leaks(s):
        return lambda n, *, steps, seed: REAL[
            torch.randperm(300, generator=torch.Generator().manual_seed(seed + s))[:n]
        ]

    cold = [lambda n, *, steps, seed, s=s: points(n, 50 + s + 7 * steps + seed % 1_000, 1 / steps) for s in range(2)]
    with pytest.raises(ValueError, match="rows of warm are rows of the real data too"):
        evaluate(REAL, baseline={"cold": cold}, candidates={"warm": [leaks(0), leaks(1)]}, samples=N, clip=(-9, 9))
