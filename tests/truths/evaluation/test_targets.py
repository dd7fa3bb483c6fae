"""Fixed targets: n_eq = scatter / D, met from many calls to few, refuted where a lower bound misses."""

import math

import numpy as np
import pytest
from hand_made import BASELINE, FOUR_TIMES, curve

from warmflow.evaluation.targets import gain_at_equal_calls, ladder, meets, not_refuted, rungs

ONE = {"m": 1.0}


def test_rungs_double_up_to_the_most():
    assert rungs(450) == [25, 50, 100, 200, 400]
    assert rungs(400)[-1] == 400 and rungs(24) == []


def test_a_certain_curve_meets_a_target_at_its_distance():
    cold = curve("cold", BASELINE, sd=1e-7)
    for n_eq, met, possible in ((9, 1, 1), (19, 2, 2), (49, 4, 3), (99, 8, 5), (190, 16, 9), (210, math.inf, math.inf)):
        assert (meets(cold, ONE, n_eq), not_refuted(cold, ONE, n_eq)) == (met, possible)


def test_noise_makes_meeting_later_and_refuting_rarer():
    noisy = curve("cold", BASELINE, sd=4e-3)
    assert meets(noisy, ONE, 50) > 4 > not_refuted(noisy, ONE, 90)
    assert meets(noisy, ONE, 190) == math.inf and not_refuted(noisy, ONE, 210) < math.inf


def test_a_curve_that_turns_back_meets_only_from_its_last_failure_on():
    turning = curve("cold", {1: 0.01, 2: 0.05, 4: 0.01, 8: 0.01})
    assert meets(turning, ONE, 50) == 4 and not_refuted(turning, ONE, 50) == 1
    late = curve("cold", {1: 0.01, 2: 0.01, 4: 0.05})
    assert meets(late, ONE, 50) == math.inf


def test_all_metrics_must_meet_and_any_may_refute():
    both = curve("cold", BASELINE, more={"n": {n: 2 * d for n, d in BASELINE.items()}})
    assert meets(both, {"m": 1.0, "n": 1.0}, 40) == 8
    assert not_refuted(both, {"m": 1.0, "n": 1.0}, 40) == 5
    assert meets(both, {"m": 1.0, "n": 2.0}, 40) == 4


def test_the_ladder_of_a_method_that_is_four_times_faster_reads_four():
    grid = range(1, 17)
    warm, cold = (curve(name, {n: d / n for n in grid}, sd=1e-7) for name, d in (("warm", 0.02), ("cold", 0.08)))
    found = ladder(warm, [cold], {"m": 1.0001}, 4_000)
    assert [(t.n_eq, t.candidate_calls, t.baseline_calls) for t in found[:4]] == [
        (25, 1, 2), (50, 1, 4), (100, 2, 8), (200, 4, 16),
    ]  # fmt: skip
    assert found[1].rate == found[2].rate == found[3].rate == 4
    assert [(t.candidate_possible, t.baseline_certain) for t in found[:4]] == [(1, 2), (1, 4), (2, 8), (4, 16)]
    assert (found[4].n_eq, found[4].candidate_calls, math.isinf(found[4].baseline_calls)) == (400, 8, True)
    assert found[-1].n_eq == 1_600 and found[-1].rate is None  # beyond what either reaches there is no rung


def test_a_finer_grid_reaches_no_target_earlier():
    fine, coarse = {n: 0.08 / n for n in range(1, 17)}, {n: 0.08 / n for n in (8, 16)}
    for warm, cold in ((fine, coarse), (coarse, fine)):
        found = ladder(curve("warm", warm, sd=1e-7), [curve("cold", cold, sd=1e-7)], ONE, 4_000)
        assert all(t.rate is None or t.rate <= 1 for t in found)


def test_of_several_baselines_the_fastest_counts():
    fast = curve("fast", {1: 0.05, 2: 0.009, 4: 0.009})
    (first, *_) = ladder(curve("warm", FOUR_TIMES), [curve("cold", BASELINE), fast], ONE, 30)
    assert (first.baseline_calls, first.baseline_certain) == (2, 2)
    only = ladder(curve("warm", FOUR_TIMES), [curve("cold", BASELINE)], ONE, 30)[0]
    assert (only.baseline_calls, only.baseline_certain) == (3, 4)


def test_metrics_without_a_unit_have_no_ladder():
    assert ladder(curve("warm", FOUR_TIMES), [curve("cold", BASELINE)], {}, 4_000) == []


def test_the_gain_at_equal_calls_is_the_difference_to_the_best_baseline_there():
    other = curve("other", {1: 0.2, 2: 0.01, 8: 0.02})
    gains = gain_at_equal_calls(curve("warm", FOUR_TIMES), [curve("cold", BASELINE), other], "m")
    assert gains.calls == pytest.approx([1, 2, 4, 8, 16])
    assert gains.others == ("cold", "other", "cold", "cold", "cold")
    assert gains.band.estimate == pytest.approx([0.08, 0.0, 0.015, 0.005, 0.0])
    assert (gains.band.low <= gains.band.estimate).all() and (gains.band.high >= gains.band.estimate).all()
    assert (gains.band.low > 0).tolist() == [True, False, True, True, False]


def test_the_best_baseline_is_chosen_on_the_validation_set():
    told = curve("told", dict.fromkeys(BASELINE, 9.0), validation=dict.fromkeys(BASELINE, 0.0))
    gains = gain_at_equal_calls(curve("warm", FOUR_TIMES), [curve("cold", BASELINE), told], "m")
    assert set(gains.others) == {"told"}


def test_calls_that_only_one_method_has_are_left_out():
    gains = gain_at_equal_calls(curve("warm", {1: 1.0, 3: 0.5}), [curve("cold", {3: 0.7, 4: 0.1})], "m")
    assert gains.calls == pytest.approx([3]) and gains.band.estimate == pytest.approx([0.2])
    assert gain_at_equal_calls(curve("warm", {1: 1.0}), [curve("cold", {3: 0.7})], "m") is None


def test_the_start_effect_is_from_noise_less_from_the_draft():
    effect = gain_at_equal_calls(curve("warm", FOUR_TIMES), [curve("warm from noise", BASELINE)], "m")
    assert effect.band.estimate[0] == pytest.approx(0.08) and effect.band.low[0] > 0
    assert np.all(gain_at_equal_calls(curve("a", BASELINE, sd=0.1), [curve("b", BASELINE, sd=0.1)], "m").band.low < 0)
