"""The certified exchange rate of curves whose answer can be read off by eye."""

import math

import numpy as np
import pytest
from hand_made import BASELINE, FOUR_TIMES, curve

from warmflow.evaluation.curves import Curve
from warmflow.evaluation.exchange import Rules, exchanges, quoted, row_error, worse_on

RULES = Rules(floor={"m": 1e-3, "n": 1e-3})


def rates(candidate, *baselines, rules=RULES):
    return {e.calls: e.rate for e in exchanges(candidate, baselines, rules)}


def best(candidate, *baselines, rules=RULES):
    return quoted(exchanges(candidate, baselines, rules))


def test_four_times_the_calls_is_a_rate_of_four():
    e = best(curve("warm", FOUR_TIMES), curve("cold", {**BASELINE, 3: 0.03, 5: 0.016, 6: 0.014, 7: 0.012}))
    assert (e.rate, e.calls, e.baseline_calls, e.baseline, e.row_calls) == (4, 2, 8, "cold", 8)
    assert e.measured and e.useful and not e.worse_on


def test_identical_methods_have_a_rate_of_one():
    assert best(curve("warm", BASELINE), curve("cold", BASELINE)).rate == 1
    assert max(rates(curve("warm", BASELINE), curve("cold", BASELINE)).values()) == 1


def test_a_method_that_is_slower_has_a_rate_below_one():
    assert best(curve("warm", BASELINE), curve("cold", FOUR_TIMES)).rate < 1


def test_where_every_baseline_row_is_worse_the_rate_is_infinite_up_to_the_horizon():
    e = best(curve("warm", dict.fromkeys(BASELINE, 0.002)), curve("cold", BASELINE))
    assert math.isinf(e.rate) and (e.calls, e.horizon, e.baseline_steps) == (1, 16, 16)


def test_noise_alone_certifies_nothing():
    warm, cold = curve("warm", FOUR_TIMES, sd=0.2), curve("cold", BASELINE, sd=0.2)
    assert best(warm, cold).rate <= 1
    noisy = (
        curve("warm", FOUR_TIMES, real=0.2),
        Curve(
            **{
                **vars(curve("cold", BASELINE, real=0.2)),
                "replicates": {"m": -curve("cold", BASELINE, real=0.2).replicates["m"]},
            }
        ),
    )
    assert best(*noisy).rate <= 1


def test_noise_of_the_real_set_that_is_shared_is_no_obstacle():
    assert best(curve("warm", FOUR_TIMES, real=0.2), curve("cold", BASELINE, real=0.2)).rate > 1


def test_a_finer_grid_of_the_candidate_is_no_advantage():
    fine = {n: 0.08 / n for n in range(1, 17)}
    coarse = {n: fine[n] for n in (1, 4, 16)}
    assert max(rates(curve("warm", fine), curve("cold", coarse)).values()) <= 1
    assert max(rates(curve("warm", coarse), curve("cold", fine)).values()) <= 1


def test_between_two_rows_of_the_baseline_the_first_number_of_calls_counts():
    cold = {1: 0.1, 50: 0.01}
    e = best(curve("warm", {1: 0.01}), curve("cold", cold))
    assert (e.baseline_calls, e.row_calls, e.measured, e.doubtful) == (2, 50, False, True)
    narrow = {4: 0.1, 8: 0.08, 16: 0.06, 20: 0.05, 32: 0.03, 50: 0.01}
    standard = best(curve("warm", {4: 0.01}), curve("cold", narrow))
    assert (standard.baseline_calls, standard.measured, standard.doubtful) == (33, False, False)
    between = best(curve("warm", {4: 0.01}), curve("cold", {3: 0.02, 8: 0.01}))
    assert (between.rate, between.measured, between.doubtful) == (1, False, True)
    fractional = best(curve("warm", {4: 0.01}), curve("cold", {3.9: 0.04, 7.4: 0.02, 7.9: 0.01}))
    assert fractional.baseline_calls == pytest.approx(7.9)


def test_below_its_first_row_the_baseline_is_taken_to_be_as_good():
    for distance in (0.01, 0.05):
        e = best(curve("warm", {4: 0.01}), curve("cold", {20: distance}))
        assert (e.rate, e.measured, e.doubtful) == (1, False, True)


DIP = {1: 0.2, 2: 0.12, 4: 0.05, 8: 0.1, 16: 0.1, 32: 0.1, 50: 0.1}
"""A curve that is best at 4 calls."""


def test_leaving_out_the_baselines_best_number_of_calls_gains_nothing():
    without = curve("cold", {n: d for n, d in DIP.items() if n != 4})
    there = {e.calls: e for e in exchanges(curve("warm", {n: DIP[n] for n in (1, 2, 4, 8)}), [without], RULES)}
    assert (there[4].rate, there[4].doubtful) == (1, True) and max(e.rate for e in there.values()) == 1
    nowhere = exchanges(
        curve("warm", {1: 0.2, 2: 0.05}), [without], RULES
    )  # 2 calls as good as the 4 that are left out
    assert {e.calls: e.baseline_calls for e in nowhere}[2] == 3


def test_flows_of_tokens_whose_calls_differ_at_equal_steps_lack_nothing():
    """At 16 steps warm makes 11 calls and cold 14; the gap from 7.5 to 14 is narrow."""
    steps = {"steps": np.array([1, 2, 4, 8, 16, 32])}
    cold = Curve(**{**vars(curve("cold", {1: 0.2, 2: 0.1, 3.9: 0.08, 7.5: 0.06, 14.2: 0.05, 26.4: 0.01})), **steps})
    warm = Curve(
        **{**vars(curve("warm", {0.9: 0.1, 1.7: 0.06, 3.2: 0.03, 6.1: 0.02, 11.3: 0.01, 20.5: 0.009})), **steps}
    )
    assert {e.calls: e.baseline_calls for e in exchanges(warm, [cold], RULES)}[11.3] == 15


def test_leaving_out_a_number_between_two_neighbours_gains_nothing():
    warm, three, five = curve("warm", {1: 0.2, 2: 0.12, 4: 0.045}), {3: 0.075, 5: 0.075}, {1: 0.2, 2: 0.12, 6: 0.1}
    assert max(rates(warm, curve("cold", {**three, **five})).values()) <= 1


def test_a_solver_of_two_calls_a_step_lacks_no_even_numbers():
    warm = curve("warm", {2: 0.01, 4: 0.005})
    rows = {1: 0.1, 3: 0.05, 5: 0.01, 7: 0.009}
    heun, gaps = (Curve(**{**vars(curve("cold", rows)), "per_step": step}) for step in (2.0, 1.0))
    assert {e.calls: e.baseline_calls for e in exchanges(warm, [heun], RULES)}[2] == 4  # 5 is as good, 4 is not known
    assert {e.calls: e.baseline_calls for e in exchanges(warm, [gaps], RULES)}[2] == 2


def test_a_row_that_no_baseline_reaches_is_worth_no_more_than_was_measured():
    """Four times at 2 calls is more than 'none within 16' at 16 calls."""
    warm = {1: 0.2, 2: 0.01, 4: 0.009, 8: 0.008, 16: 0.002}
    e = best(curve("warm", warm), curve("cold", {**BASELINE, 3: 0.03, 5: 0.016, 6: 0.014, 7: 0.012}))
    assert (e.calls, e.rate, e.certified) == (2, 4, 4)


def test_every_baseline_has_to_be_worse():
    warm = curve("warm", FOUR_TIMES)
    alone = best(warm, curve("cold", BASELINE))
    with_weaker = best(warm, curve("cold", BASELINE), curve("weak", {n: 2 * d for n, d in BASELINE.items()}))
    with_stronger = best(warm, curve("cold", BASELINE), curve("strong", {**BASELINE, 4: 0.0098, 8: 0.0049}))
    assert with_weaker.rate == alone.rate == 2.5  # 4 is shown to be worse, 5 is not
    assert (with_stronger.baseline, with_stronger.baseline_calls, with_stronger.calls) == ("strong", 3, 2)


def test_a_baseline_that_was_measured_at_few_calls_limits_the_claim():
    warm, cold = curve("warm", {1: 0.004}), curve("cold", {**BASELINE, 16: 0.004})
    short = curve("short", {1: 0.1, 2: 0.05})
    assert best(warm, cold).baseline_calls == 9
    assert best(warm, cold, short).baseline_calls == 3  # of short nothing is known from 3 calls on
    assert best(warm, cold, short).horizon == 2


def test_any_metric_may_show_it_and_each_must_not_show_the_opposite():
    level = dict.fromkeys(BASELINE, 0.01)
    e = best(curve("warm", FOUR_TIMES, more={"n": level}), curve("cold", BASELINE, more={"n": level}))
    assert e.rate > 2 and e.by_metric["m"] == e.baseline_calls and e.by_metric["n"] == 1
    rows = exchanges(
        curve("warm", BASELINE, more={"n": FOUR_TIMES}), [curve("cold", BASELINE, more={"n": BASELINE})], RULES
    )
    (eight,) = (e for e in rows if e.calls == 8)  # on n as good as 16 calls, on m as 8
    assert eight.by_metric == {"m": 8, "n": 9}
    assert (eight.baseline_calls, eight.row_calls, eight.worse_on) == (9, 16, ("m",))
    worse = {n: 2 * d for n, d in level.items()}
    rows = exchanges(curve("warm", FOUR_TIMES, more={"n": worse}), [curve("cold", BASELINE, more={"n": level})], RULES)
    assert all(e.worse_on == ("n",) for e in rows if e.useful) and quoted(rows) is None


def test_a_tenth_of_the_baselines_distance_is_forgiven_on_another_metric():
    warm, cold = curve("warm", {4: 1.09}, sd=1e-3), curve("cold", {4: 1.0}, sd=1e-3)
    assert worse_on(warm, 0, cold, 0, RULES) == ()
    assert worse_on(curve("warm", {4: 1.11}, sd=1e-3), 0, cold, 0, RULES) == ("m",)
    score = Rules(zero={"m": False})  # a score has no zero, and no tenth
    assert worse_on(warm, 0, cold, 0, score) == ("m",)


def test_useful_rows_are_read_on_the_validation_set():
    cold = curve("cold", BASELINE)
    row = {e.calls: e.useful for e in exchanges(curve("warm", BASELINE), [cold], RULES)}
    assert row == {1: False, 2: False, 4: False, 8: True, 16: True}
    told = curve("warm", BASELINE, validation={1: 0.001, 2: 1, 4: 1, 8: 1, 16: 1})
    assert {e.calls: e.useful for e in exchanges(told, [cold], RULES)} == {
        1: True,
        2: False,
        4: False,
        8: False,
        16: False,
    }
    wide = Rules(useful=0.09, floor={"m": 1e-3})
    assert [e.useful for e in exchanges(curve("warm", BASELINE), [cold], wide)] == [False, True, True, True, True]
    floor = Rules(floor={"m": 0.03})  # the validation set cannot tell 0.06 from 0.005
    assert [e.useful for e in exchanges(curve("warm", BASELINE), [cold], floor)] == [False, True, True, True, True]


def test_a_useless_row_is_not_quoted_however_large_its_rate():
    cold = curve("cold", {1: 0.5, 2: 0.4, 4: 0.3, 8: 0.2, 16: 0.005})
    found = exchanges(curve("warm", {1: 0.19, 16: 0.005}), [cold], RULES)
    assert found[0].rate == 9 and not found[0].useful  # noise for worse noise
    assert quoted(found).calls == 16 and quoted(found).rate == 1


def test_the_quoted_row_passes_the_guards_and_of_equal_rates_has_the_fewest_calls():
    found = exchanges(curve("warm", FOUR_TIMES), [curve("cold", BASELINE)], RULES)
    assert (quoted(found).calls, quoted(found).rate) == (2, 2.5)
    assert quoted(found, [e.calls != 2 for e in found]).calls == 4
    assert quoted(found, [False] * len(found)) is None
    same = exchanges(curve("warm", BASELINE), [curve("cold", {8: 0.01, 16: 0.005})], RULES)
    assert quoted(same).calls == 8


def independent(name, generator, k, means, sd):
    values = means + sd * generator.standard_normal((k, len(means)))
    calls = np.arange(1.0, len(means) + 1)
    return Curve(
        name, calls.astype(int), calls, {"m": values}, {"m": np.repeat(values.mean(0)[:, None], 4, 1)}, {"m": means}
    )


@pytest.mark.long
def test_rows_with_noise_of_their_own_share_the_error():
    """Fourteen opportunities at 2.5 % each would be one false claim in four studies."""
    means, false, unshared, times = 1 + 3 / np.sqrt(np.arange(1, 15)), 0, 0, 300
    generator = np.random.default_rng(0)
    for _ in range(times):
        warm, cold = (independent(n, generator, 5, means, 0.005) for n in ("warm", "cold"))
        found = exchanges(warm, [cold], RULES)
        false += max(e.rate for e in found if e.useful) > 1
        p = (1 - _welch(cold, warm)) < 0.025
        unshared += bool(p.any())
    assert unshared / times > 0.12
    assert false / times < 0.06


def _welch(cold, warm):
    from scipy import stats

    return 1 - stats.ttest_ind(cold.values["m"], warm.values["m"], equal_var=False, alternative="greater").pvalue


def test_the_error_of_a_row_depends_on_how_many_rows_there_are_and_how_they_hang_together():
    generator = np.random.default_rng(1)
    warm, cold = (independent(n, generator, 200, np.zeros(10), 1.0) for n in ("warm", "cold"))
    pairs = [(i, cold, i) for i in range(10)]
    assert row_error(warm, pairs[:1], "m", 0.025) == 0.025
    assert row_error(warm, pairs, "m", 0.025) == pytest.approx(0.0025, rel=0.4)
    one = (
        curve("warm", dict.fromkeys(range(1, 11), 1.0), sd=1.0),
        curve("cold", dict.fromkeys(range(1, 11), 1.0), sd=1.0),
    )
    assert row_error(one[0], [(i, one[1], i) for i in range(10)], "m", 0.025) == pytest.approx(0.025, rel=0.2)
    strong = independent("strong", generator, 200, np.zeros(10), 1.0)
    mixed = [(i, cold if i < 5 else strong, i) for i in range(10)]
    assert row_error(warm, mixed, "m", 0.025) == pytest.approx(0.0025, rel=0.4)


def test_more_baselines_and_more_metrics_only_lower_the_rate():
    warm = curve("warm", FOUR_TIMES, sd=2e-3, more={"n": FOUR_TIMES})
    cold, other = (curve(n, BASELINE, sd=2e-3, more={"n": BASELINE}) for n in ("cold", "other"))
    one, two = rates(warm, cold), rates(warm, cold, other)
    assert all(two[n] <= one[n] for n in one)
    single = rates(curve("warm", FOUR_TIMES, sd=2e-3), curve("cold", BASELINE, sd=2e-3))
    assert all(one[n] <= single[n] for n in one)
