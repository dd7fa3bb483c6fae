"""Every cheat that we know of is planted, and caught by its name.

What is planted is the best a cheat can hope for: samples that are real data of their own, measured against other real data.
"""

import time

import pytest
import torch
from sklearn.datasets import load_digits

from warmflow.evaluation.evaluate import Extras, evaluate
from warmflow.evaluation.study import Training
from warmflow.evaluation.verdict import Missing, Note, Outcome
from warmflow.metrics.mmd import mmd_for

SEEDS = 3


def digits():
    """(1797, 1, 8, 8) in -1..1 and their labels, shuffled, with a little noise so that no two are equal."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(x[order.numpy()]).float().reshape(-1, 1, 8, 8) / 8 - 1
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return images + 0.02 * noise, torch.from_numpy(y)[order]


IMAGES, LABELS = digits()
TRAIN, REAL, FRESH = IMAGES[:700], IMAGES[700:1300], IMAGES[1300:]
N = 400


def blurred(x, amount, seed):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return x + amount * noise


def taken(x, seed, n=N):
    """n rows of x, others for each seed, each moved a little."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return blurred(x[order[torch.arange(n) % len(x)]], 0.02, 1_000 + seed)


def cold(calls=(1, 2, 4, 8), first=0):
    """A baseline whose noise falls with the number of calls, near to the data at 8."""
    return [{n: blurred(taken(FRESH, first + s), 0.9 / n, first + 7 * s + n) for n in calls} for s in range(SEEDS)]


def warm(make, calls=(1, 2, 4)):
    return [{n: make(s) for n in calls} for s in range(SEEDS)]


def evaluated(baseline, candidate, train=TRAIN, **more):
    pixels = [mmd_for(TRAIN, None, "pixels")]
    return evaluate(
        REAL, baseline={"cold": baseline}, candidates={"warm": candidate}, train=train, metrics=pixels, **more
    )


def judged(candidate, baseline=None, **more):
    return evaluated(baseline or cold(), candidate, **more)


def named(evaluation, guard):
    """The rows of the candidate that this guard fails, of the useful ones."""
    v = evaluation.verdict
    return [not g.passes for e, row in zip(v.rows, v.guarded, strict=True) if e.useful for g in row if g.name == guard]


def test_an_honest_candidate_is_faster():
    found = judged(warm(lambda s: taken(FRESH, 50 + s)))
    assert found.verdict.outcome is Outcome.FASTER and found.verdict.rate > 2
    assert not any(named(found, "copying")) and not any(named(found, "class variation"))


def copies(share, near_twins=False):
    def make(s):
        x = taken(FRESH, 50 + s)
        k = int(share * len(x))
        place = torch.randperm(len(x), generator=torch.Generator().manual_seed(s))[:k]
        x[place] = blurred(TRAIN[torch.arange(k) * 3 % len(TRAIN)], 0.005 if near_twins else 0.0, s)
        return x

    return make


def test_five_copies_in_a_hundred_are_caught():
    found = judged(warm(copies(0.05)))
    assert all(named(found, "copying")) and named(found, "copying")
    assert found.verdict.outcome is Outcome.CANNOT_TELL and found.verdict.missing == (Missing.GUARDS,)
    assert "fail the guard against copying (" in str(found)


@pytest.mark.parametrize("shares", [(0.0, 0.3, 0.3), (0.2, 0.5)])
def test_copies_are_caught_however_unlike_the_seeds_are(shares):
    """A bound over seeds would pass them: their shares differ too much to be sure of a mean."""
    candidate = [dict.fromkeys((1, 2, 4), copies(share)(s)) for s, share in enumerate(shares)]
    found = judged(candidate, cold()[: len(shares)])
    assert named(found, "copying") and all(named(found, "copying"))
    assert found.verdict.outcome is Outcome.CANNOT_TELL


def test_one_seed_that_copies_is_caught():
    found = judged([dict.fromkeys((1, 2, 4), copies(share)(s)) for s, share in enumerate((0.08, 0.0, 0.0))])
    assert all(named(found, "copying")) and "of one training seed" in str(found)


def test_near_copies_of_the_held_out_data_are_an_error():
    def near(s):
        return blurred(REAL[torch.randperm(len(REAL), generator=torch.Generator().manual_seed(s))[:N]], 8e-3, s)

    with pytest.raises(
        ValueError, match="warm at 1 calls, seed 0 are nearer to the held-out data than 5% of new real data"
    ):
        judged(warm(near))


def test_one_model_given_as_three_seeds_is_an_error():
    one = taken(FRESH, 50)
    with pytest.raises(
        ValueError, match=r"warm \(training seed 0\) and warm \(training seed 1\) hold the same samples"
    ):
        judged(warm(lambda s: one))

    def deaf():
        return lambda n, *, steps, seed: taken(FRESH, 50, n)

    hears = [lambda n, *, steps, seed, s=s: taken(FRESH, 90 + 100 * s + seed % 1_000, n) for s in range(3)]
    with pytest.raises(ValueError, match="warm gives the same samples under the seeds 0 and 1"):
        evaluate(REAL, baseline={"cold": hears}, candidates={"warm": [deaf() for _ in range(3)]}, samples=N, clip=(-2, 2),
                 metrics=[mmd_for(TRAIN, None, "pixels")])  # fmt: skip


def test_one_generator_under_three_seeds_is_an_error():
    one = lambda n, *, steps, seed: taken(FRESH, seed % 997, n)  # noqa: E731
    with pytest.raises(ValueError, match="warm has one generator under several training seeds; one model is one seed"):
        judged([one] * 3)


def test_leaving_out_the_number_of_calls_at_which_cold_is_best_is_no_speed_up():
    noise = {1: 1.2, 2: 0.9, 4: 0.1, 8: 0.6, 16: 0.6}

    def same(calls, first):
        return [{n: blurred(taken(FRESH, first + s), noise[n], 7 * s + n + first) for n in calls} for s in range(SEEDS)]

    found = judged(same((1, 2, 4, 8), 50), same((1, 2, 8, 16), 0))
    assert found.verdict.outcome is Outcome.CANNOT_TELL and Missing.GRID in found.verdict.missing


def test_near_twins_in_the_training_set_do_not_hide_copies():
    twins = torch.cat([TRAIN, blurred(TRAIN, 0.01, 99)])
    found = evaluated(cold(), warm(copies(0.05, True)), twins)
    assert all(named(found, "copying")) and found.verdict.missing == (Missing.GUARDS,)


def test_missing_classes_are_not_called_faster_unnoticed():
    kept = FRESH[LABELS[1300:] > 2]
    found = judged(warm(lambda s: taken(kept, 50 + s)))
    assert found.verdict.outcome is not Outcome.FASTER
    assert any(named(found, "class variation")) or Missing.QUALITY in found.verdict.missing


def test_missing_classes_beside_a_poor_baseline_fail_the_guard():
    poor = [{n: blurred(taken(FRESH, s), 0.9, 7 * s + n) for n in (1, 2, 4)} for s in range(SEEDS)]
    kept = FRESH[LABELS[1300:] > 2]
    found = judged(warm(lambda s: taken(kept, 50 + s)), poor)
    assert all(named(found, "class variation")) and found.verdict.missing == (Missing.GUARDS,)


def test_unequal_numbers_of_samples_are_an_error():
    few = warm(lambda s: taken(FRESH, 50 + s, 200))
    with pytest.raises(ValueError, match="warm at 1 calls, seed 0 has 200 samples and cold at 1 calls, seed 0 400"):
        judged(few)
    uneven = [{1: taken(FRESH, s), 2: taken(FRESH, s, 300)} for s in range(SEEDS)]
    with pytest.raises(ValueError, match="warm has unequal numbers of samples"):
        judged(uneven)


def test_fewer_seeds_of_one_method_are_an_error():
    with pytest.raises(
        ValueError, match=r"warm at 1 steps has the training seeds \[0, 1\]|cold at 1 steps has the training"
    ):
        judged(warm(lambda s: taken(FRESH, 50 + s))[:2])


def test_a_finer_grid_of_the_candidate_makes_nothing_faster():
    fine = cold(tuple(range(1, 9)))
    coarse = cold((1, 4, 8), 200)
    for candidate, baseline in ((fine, coarse), (coarse, fine)):
        v = judged(candidate, baseline).verdict
        assert v.outcome is not Outcome.FASTER and all(e.rate <= 1 for e in v.rows if e.useful)


def test_a_baseline_at_one_large_number_of_calls_proves_nothing():
    v = judged(warm(lambda s: taken(FRESH, 50 + s), (4,)), [{20: taken(FRESH, 80 + s)} for s in range(SEEDS)]).verdict
    assert (v.outcome, v.missing) == (Outcome.CANNOT_TELL, (Missing.GRID,)) and Note.GRID in v.notes


def test_a_baseline_with_another_solver_only_is_named():
    def generator(x, blur):
        return lambda n, *, steps, seed: blurred(taken(x, seed % 97 + steps, n), blur / steps, seed % 1_000)

    euler = {"Euler": [generator(FRESH, 0.9) for _ in range(SEEDS)]}
    both = {
        name: [generator(FRESH, blur) for _ in range(SEEDS)] for name, blur in (("Euler", 0.9), ("AdamsBashforth", 0.0))
    }
    found = evaluated(euler, both, samples=200)
    assert found.verdict.missing == (Missing.SOLVERS,)
    assert "was not measured with the candidate's solver" in str(found)


@pytest.mark.long
def test_the_cost_of_a_hidden_draft_is_named():
    def generator(x, blur, start):
        def draw(n, *, steps, seed):
            time.sleep(4e-4 * (start + steps))
            return blurred(taken(x, seed % 97, n), blur / steps, seed % 1_000)

        return draw

    slow, hidden = ({"Euler": [generator(FRESH, *what) for _ in range(2)]} for what in ((0.9, 0), (0.0, 10)))
    found = evaluated(slow, hidden, samples=60)
    assert Note.COSTLY_START in found.verdict.notes and found.verdict.start_calls > 4


def test_samples_that_are_the_real_data_are_an_error():
    with pytest.raises(ValueError, match="rows of the real data"):
        judged(warm(lambda s: REAL[(torch.arange(N) + 7 * s) % len(REAL)]))
    with pytest.raises(ValueError, match="of train are rows of the real data"):
        evaluated(cold(), cold(first=300), torch.cat([TRAIN, REAL]))


def test_what_is_not_known_of_the_training_is_said():
    found = judged(warm(lambda s: taken(FRESH, 50 + s)))
    assert Note.UNKNOWN_TRAINING in found.verdict.notes and "training not known" in str(found)
    told = judged(warm(lambda s: taken(FRESH, 50 + s)), extras=Extras(trained=Training.EQUAL))
    assert Note.UNKNOWN_TRAINING not in told.verdict.notes
