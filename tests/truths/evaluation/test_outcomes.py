"""Each outcome, each thing that may be missing, each note, from a study whose distances are written down; and what is said."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hand_made import BASELINE, FOUR_TIMES, SCATTER, Given, pair, study

from warmflow.evaluation.sentences import answer
from warmflow.evaluation.study import RealFacts, Role, Times, Training
from warmflow.evaluation.verdict import Credit, Missing, Note, Outcome, judge

QUIET = {n: d for n, d in BASELINE.items() if n != 16}
HALF = {n: 0.6 * d for n, d in FOUR_TIMES.items()}


def verdict(methods, candidate="warm", **shared):
    return judge(study(methods, **shared))[candidate]


def said(methods, candidate="warm", **shared):
    made = study(methods, **shared)
    return answer(judge(made)[candidate], made)


def beside(candidate, *more, **shared):
    return {**pair(candidate, **shared), **{g.of + g.role + str(i): g for i, g in enumerate(more)}}


def start(distance, **shared):
    return Given(Role.START, {0: distance}, of="warm", **shared)


# ---------------------------------------------------------------- outcomes


def test_faster_with_its_rate_and_quality():
    v = verdict(pair(FOUR_TIMES))
    assert (v.outcome, v.missing, v.rate) == (
        Outcome.FASTER,
        (),
        2.5,
    )  # 4 is worse than 2 of the candidate's, 5 unknown
    assert v.quality.estimate == pytest.approx(SCATTER / 0.01)
    assert v.quality.low < v.quality.estimate < v.quality.high
    text = said(pair(FOUR_TIMES)).text
    assert (
        "Warm with 2 calls is as good as 90 real images; cold needs at least 5 calls for that, 2.5 times as many"
        in text
    )
    assert "three training seeds, equal training" in text


def test_faster_without_bound_says_within_how_many_calls():
    methods = pair(HALF)
    v = verdict(methods)
    assert v.outcome is Outcome.FASTER and math.isinf(v.rate)
    assert "cold is not as good within 16 calls" in said(methods).text
    two = said({**methods, "other": Given(Role.BASELINE, BASELINE)}).text
    assert "no baseline within 16 calls is as good" in two


def test_nearer_only_at_the_horizon():
    methods = pair({1: 0.2, 2: 0.1, 4: 0.05, 8: 0.02, 16: 0.002})
    v = verdict(methods)
    assert (v.outcome, v.rate) == (Outcome.NEARER, None)
    text = said(methods).text
    assert "nearer to the data than cold within 16 calls, but not faster" in text and "any number" not in text


def test_a_draft_that_lacks_a_class_is_not_enough():
    """Held against real data alone: beside itself it would pass whatever it lacks."""
    real = RealFacts(2_000, 1_000, shares=torch.tensor([0.5, 0.5], dtype=torch.float64), variation_limit=0.05)

    def outcome(share: float) -> Outcome:
        methods = beside(dict.fromkeys(BASELINE, 0.0051), start(0.0050))
        even = {name: dataclasses.replace(m, classes=(500.0, 500.0)) for name, m in methods.items()}
        lacking = {name: m for name, m in even.items() if m.role is Role.START}
        even |= {k: dataclasses.replace(m, classes=(1_000 * share, 1_000 * (1 - share))) for k, m in lacking.items()}
        return verdict(even, real=real).outcome

    assert outcome(0.51) is Outcome.DRAFT_ENOUGH and outcome(0.9) is not Outcome.DRAFT_ENOUGH


def test_draft_enough():
    methods = beside(dict.fromkeys(BASELINE, 0.0051), start(0.0050))
    assert verdict(methods).outcome is Outcome.DRAFT_ENOUGH
    assert "No flow is needed" in said(methods).text
    assert verdict(beside(dict.fromkeys(BASELINE, 0.0051), start(0.0058))).outcome is not Outcome.DRAFT_ENOUGH


def test_no_faster_is_not_said_where_a_rung_of_the_ladder_hides_a_difference():
    """Cold is as good as 55 samples at 2 to 16 calls, warm as 90 at 2: neither is certain of 100, both are of 50."""
    cold = {1: SCATTER / 20, **dict.fromkeys((2, 4, 8, 16), SCATTER / 55), 20: SCATTER / 90}
    methods = {**pair({2: SCATTER / 90}, cold), "warm": Given(Role.CANDIDATE, {2: SCATTER / 90}, sd=5e-3)}
    assert verdict(methods).outcome is Outcome.CANNOT_TELL


def test_no_faster_is_certified():
    methods = pair(BASELINE, FOUR_TIMES)
    v = verdict(methods)
    assert (v.outcome, v.rate) == (Outcome.NO_FASTER, None)
    assert "Warm is no faster: cold is as good with as few calls" in said(methods).text


@pytest.mark.parametrize("noise", [{"sd": 0.03}, {"real": 0.03}])
def test_an_estimate_in_favour_is_never_no_faster_where_noise_is_large(noise):
    for candidate in (FOUR_TIMES, {n: 0.8 * d for n, d in BASELINE.items()}):
        methods = pair(candidate, **noise)
        if "real" in noise:
            methods["warm"] = dataclasses.replace(methods["warm"], turn=math.pi)
        v = verdict(methods)
        assert v.outcome is Outcome.CANNOT_TELL and v.rate is None
        assert said(methods).text.startswith("Cannot tell whether warm is faster")


@pytest.mark.parametrize("sd", [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 0.99])
def test_no_amount_of_noise_turns_a_nearer_candidate_into_no_faster(sd, share):
    v = verdict(pair({n: share * d for n, d in BASELINE.items()}, sd=sd))
    assert v.outcome is not Outcome.NO_FASTER or share == 0.99


def test_identical_methods_are_never_faster():
    for sd in (0.0, 1e-6, 1e-3, 0.05):
        v = verdict(pair(BASELINE, sd=sd))
        assert v.outcome in (Outcome.NO_FASTER, Outcome.CANNOT_TELL) and v.rate is None


# ---------------------------------------------------------------- what is missing


def test_one_seed():
    methods = pair(FOUR_TIMES)
    v = verdict(methods, k=1)
    assert (v.outcome, v.missing) == (Outcome.CANNOT_TELL, (Missing.SEEDS,))
    assert "one training seed" in said(methods, k=1).text


def test_seeds_where_training_is_the_noise_and_samples_where_the_real_set_is():
    assert verdict(pair(FOUR_TIMES, sd=0.03)).missing == (Missing.SEEDS,)
    methods = pair(FOUR_TIMES, sd=1e-4, real=0.03)
    methods["warm"] = dataclasses.replace(methods["warm"], turn=math.pi)
    v = verdict(methods)
    assert v.missing == (Missing.SAMPLES,)
    assert "more samples and more held-out real data" in said(methods).text


def test_training_where_the_start_alone_is_nearer_than_every_baseline_row():
    methods = beside(dict.fromkeys(BASELINE, 0.0041), start(0.004))
    v = verdict(methods)
    assert (v.outcome, v.missing) == (Outcome.CANNOT_TELL, (Missing.TRAINING,))
    assert Note.UNTRAINED_BASELINE in v.notes
    text = said(methods).text
    assert "not trained enough" in text and "No flow is needed" not in text


def test_an_untrained_baseline_is_noted_beside_a_speed_up():
    v = verdict(beside(dict.fromkeys(BASELINE, 0.002), start(0.0045)))
    assert v.outcome is Outcome.FASTER and Note.UNTRAINED_BASELINE in v.notes


FAR = dict.fromkeys(BASELINE, SCATTER / 9.5)
"""No row is as good as ten samples."""
NEARER = dict.fromkeys(BASELINE, SCATTER / 40)


@pytest.mark.parametrize("trained", Training)
def test_nothing_is_claimed_beside_a_foreign_baseline_that_is_not_near_the_data(trained):
    """However surely the candidate is nearer; at equal training the comparison stands, and is noted."""
    foreign = trained in (Training.UNKNOWN, Training.DISTILLED)
    v = verdict(pair(NEARER, FAR), trained=trained)
    assert (v.outcome, v.missing) == ((Outcome.CANNOT_TELL, (Missing.TRAINING,)) if foreign else (Outcome.FASTER, ()))
    text = said(pair(NEARER, FAR), trained=trained).text
    assert ("no baseline is near the data" in text) == foreign
    behind_the_draft = beside(dict.fromkeys(BASELINE, 0.002), start(0.0045))
    assert (verdict(behind_the_draft, trained=trained).outcome is Outcome.CANNOT_TELL) == foreign


def test_beside_a_foreign_baseline_near_the_data_every_outcome_is_as_before():
    near = dict.fromkeys(BASELINE, SCATTER / 10.5)
    for methods in (
        pair(FOUR_TIMES), pair(BASELINE, FOUR_TIMES), pair(NEARER, near), pair({16: 0.002}),
        beside(dict.fromkeys(BASELINE, 0.0051), start(0.0050)), beside(FOUR_TIMES, start(0.2)),
        {**pair(NEARER, FAR), "other": Given(Role.BASELINE, BASELINE)},
    ):  # fmt: skip
        known, foreign = (verdict(methods, trained=t) for t in (Training.EQUAL, Training.UNKNOWN))
        assert (known.outcome, known.missing, known.rate) == (foreign.outcome, foreign.missing, foreign.rate)
    assert verdict(pair(NEARER, near), trained=Training.UNKNOWN).outcome is Outcome.FASTER


def test_a_failed_guard_and_a_single_seed_are_said_first_beside_a_foreign_baseline():
    assert verdict(pair(NEARER, FAR), k=1, trained=Training.UNKNOWN).missing == (Missing.SEEDS,)


def test_quality():
    v = verdict(pair({1: 0.3, 2: 0.3}), scatter=None)
    assert (v.outcome, v.missing) == (Outcome.CANNOT_TELL, (Missing.QUALITY,))


def test_solvers_that_no_baseline_was_tried_with():
    methods = pair(FOUR_TIMES)
    methods["cold"] = dataclasses.replace(methods["cold"], solver="Euler", solvers=("Euler",))
    methods["warm"] = dataclasses.replace(methods["warm"], solver="AdamsBashforth", solvers=("AdamsBashforth", "Euler"))
    v = verdict(methods)
    assert (v.outcome, v.missing, v.rate) == (Outcome.CANNOT_TELL, (Missing.SOLVERS,), None)
    assert "was not measured with the candidate's solver" in said(methods).text
    fair = {**methods, "cold": dataclasses.replace(methods["cold"], solvers=("Euler", "AdamsBashforth"))}
    assert verdict(fair).outcome is Outcome.FASTER
    one_of_two = {**fair, "other": Given(Role.BASELINE, BASELINE, solver="Euler", solvers=("Euler",))}
    assert verdict(one_of_two).missing == (Missing.SOLVERS,)


def test_a_grid_that_says_nothing_at_the_calls_in_question():
    methods = {"cold": Given(Role.BASELINE, {20: 0.01}), "warm": Given(Role.CANDIDATE, {4: 0.01})}
    v = verdict(methods)
    assert (v.outcome, v.missing, v.exchange.rate) == (Outcome.CANNOT_TELL, (Missing.GRID,), 1)
    assert Note.GRID in v.notes
    assert "measure it there too" in said(methods).text


def test_a_gap_above_the_candidates_calls_is_noted_and_claims_no_more_than_is_known():
    methods = pair({1: 0.01}, {1: 0.1, 50: 0.01})
    v = verdict(methods)
    assert (v.outcome, v.rate) == (Outcome.FASTER, 2) and Note.GRID in v.notes
    assert "needs at least 2 calls" in said(methods).text
    narrow = {4: 0.1, 8: 0.08, 16: 0.06, 20: 0.05, 32: 0.03, 50: 0.01}
    assert Note.GRID not in verdict(pair({4: 0.01}, narrow)).notes


def test_guards_that_every_faster_row_fails():
    real = RealFacts(2_000, 1_000, shares=torch.tensor([0.5, 0.5], dtype=torch.float64), variation_limit=0.05)
    methods = pair(FOUR_TIMES)
    methods["cold"] = dataclasses.replace(methods["cold"], classes=(500.0, 500.0))
    methods["warm"] = dataclasses.replace(methods["warm"], classes=(900.0, 100.0))
    v = verdict(methods, real=real)
    assert (v.outcome, v.missing, v.exchange) == (Outcome.CANNOT_TELL, (Missing.GUARDS,), None)
    assert "fail the guard against class variation (0.400 where 0.050 is allowed)" in said(methods, real=real).text
    passing = {**methods, "warm": dataclasses.replace(methods["warm"], classes=(510.0, 490.0))}
    assert verdict(passing, real=real).outcome is Outcome.FASTER


# ---------------------------------------------------------------- credit


def control(means, **shared):
    return Given(Role.CONTROL, means, of="warm", **shared)


def test_the_draft_is_credited_where_noise_does_worse():
    methods = beside(FOUR_TIMES, control(BASELINE))
    assert verdict(methods).credit is Credit.DRAFT
    assert "The draft is credited: the same recipe from noise with 2 calls is as good as 18" in said(methods).text


def test_the_pairing_is_credited_where_noise_does_as_well():
    methods = beside(FOUR_TIMES, control(FOUR_TIMES))
    assert verdict(methods).credit is Credit.PAIRING
    text = said(methods).text
    assert "Most of the gain is due to the pairing" in text and "The draft is credited" not in text


def test_a_difference_within_the_noise_is_no_credit():
    wide = control({**BASELINE}, sd=0.1)
    assert verdict(beside(FOUR_TIMES, wide)).credit is Credit.UNDECIDED
    assert "due to draft or pairing: the same recipe from noise with 2 calls" in said(beside(FOUR_TIMES, wide)).text


def test_noise_that_is_a_better_start_is_no_credit_to_the_draft():
    better = {n: 0.5 * d for n, d in FOUR_TIMES.items()}
    assert verdict(beside(FOUR_TIMES, control(better))).credit is Credit.PAIRING


def test_metrics_that_contradict_each_other_do_not_credit_the_draft():
    methods = beside(FOUR_TIMES, control(BASELINE, second={n: 0.5 * d for n, d in FOUR_TIMES.items()}), second=None)
    v = verdict(methods)
    assert v.credit is Credit.UNDECIDED


def test_without_a_control_nothing_is_credited():
    assert verdict(pair(FOUR_TIMES)).credit is Credit.UNKNOWN
    assert said(pair(FOUR_TIMES)).credit == ""


def test_nothing_is_credited_where_nothing_is_faster():
    assert said(beside(BASELINE, control(BASELINE))).credit == ""


# ---------------------------------------------------------------- time


def seconds(name, start_cost, per_call, calls=BASELINE, rounds=9):
    wobble = 1 + 0.01 * np.sin(np.arange(rounds))
    return [Times(name, n, tuple(float(x) for x in (start_cost + per_call * n) * wobble)) for n in calls]


def timed(warm, cold):
    return tuple(seconds("warm", *warm) + seconds("cold", *cold))


def test_seconds_that_follow_the_calls():
    v = verdict(pair(FOUR_TIMES), times=timed((0.0, 1.0), (0.0, 1.0)))
    assert v.seconds.estimate == pytest.approx(2.5)  # 5 calls against 2, though the row that was timed has 8
    assert v.seconds.low <= v.seconds.estimate <= v.seconds.high
    assert v.start_calls == pytest.approx(0, abs=0.05)
    assert not {Note.SLOWER, Note.COSTLY_START, Note.NO_SECONDS} & set(v.notes)


def test_a_hidden_cost_of_the_draft_is_named():
    costly = timed((3.0, 1.0), (0.0, 1.0))
    v = verdict(pair(FOUR_TIMES), times=costly)
    assert v.start_calls == pytest.approx(3, rel=0.05) and Note.COSTLY_START in v.notes
    hidden = verdict(pair(FOUR_TIMES), times=timed((9.0, 1.0), (0.0, 1.0)))
    assert {Note.COSTLY_START, Note.SLOWER} <= set(hidden.notes) and hidden.seconds.high < 1
    notes = said(pair(FOUR_TIMES), times=timed((9.0, 1.0), (0.0, 1.0))).notes
    assert any(n.endswith("the candidate is slower.") for n in notes)
    assert "Drawing a start takes as long as 9 calls of the network." in notes
    (level,) = (n for n in said(pair(FOUR_TIMES), times=costly).notes if n.startswith("In time"))
    assert level.endswith(
        "1.00 times as long per sample (95 % interval 1.00 to 1.00): undecided."
    )  # 5 calls against 3 + 2


def test_seconds_that_were_not_measured_are_said_to_be_missing():
    v = verdict(pair(FOUR_TIMES))
    assert v.seconds is None and Note.NO_SECONDS in v.notes


# ---------------------------------------------------------------- notes, several candidates, errors


def test_unknown_training_and_chosen_seeds_are_noted():
    v = verdict(pair(FOUR_TIMES), trained=Training.UNKNOWN)
    assert Note.UNKNOWN_TRAINING in v.notes
    chosen = {"cold": (1, 3, 5), "warm": (1, 3, 5)}
    assert Note.SEEDS_WITH_GAPS in verdict(pair(FOUR_TIMES), seeds=chosen).notes
    assert Note.SEEDS_WITH_GAPS not in verdict(pair(FOUR_TIMES), seeds={"cold": (4, 5, 6), "warm": (4, 5, 6)}).notes


def test_metrics_that_disagree_are_noted():
    level = dict.fromkeys(BASELINE, 0.01)
    methods = {
        "cold": Given(Role.BASELINE, BASELINE, second=level),
        "warm": Given(Role.CANDIDATE, FOUR_TIMES, second=level),
    }
    assert Note.METRICS_DISAGREE in verdict(methods).notes
    agreeing = {n: dataclasses.replace(g, second=g.means) for n, g in methods.items()}
    assert Note.METRICS_DISAGREE not in verdict(agreeing).notes


def test_candidates_share_the_error():
    noisy = pair(FOUR_TIMES, sd=2.2e-3)
    alone = verdict(noisy)
    many = {**noisy, **{f"other{i}": Given(Role.CANDIDATE, FOUR_TIMES, sd=2.2e-3) for i in range(9)}}
    assert (alone.rate or 0) > (verdict(many).rate or 0)


UNFAIR = {
    "seeds chosen for one": {"cold": (0, 1, 2, 3, 4), "warm": (1, 3, 5, 7, 9)},
    "a seed left out": {"cold": (0, 1, 2), "warm": (0, 1)},
}


@pytest.mark.parametrize("case", UNFAIR)
def test_unequal_seeds_name_the_method(case):
    with pytest.raises(ValueError, match=r"(cold|warm) at \d+ steps has the training seeds .*same seeds"):
        study(pair(FOUR_TIMES), seeds=UNFAIR[case])


def test_unequal_numbers_of_samples_name_the_method():
    methods = pair(FOUR_TIMES)
    methods["warm"] = dataclasses.replace(methods["warm"], per_sample={0: 500, 1: 500, 2: 500})
    with pytest.raises(ValueError, match="warm at 1 steps has 500 samples and cold 2000"):
        study(methods)


def test_a_row_twice_names_the_method():
    made = study(pair(FOUR_TIMES))
    with pytest.raises(ValueError, match="cold has two rows at 1 steps under seed 0"):
        dataclasses.replace(made, rows=(*made.rows, made.rows[0]))


def test_a_method_without_rows_and_rows_without_a_method():
    made = study(pair(FOUR_TIMES))
    with pytest.raises(ValueError, match="warm has no samples"):
        dataclasses.replace(made, rows=tuple(r for r in made.rows if r.method == "cold"))
    with pytest.raises(ValueError, match="'stray', which is not in this study"):
        dataclasses.replace(made, rows=(*made.rows, dataclasses.replace(made.rows[0], method="stray")))
    with pytest.raises(ValueError, match="needs a baseline and a candidate"):
        dataclasses.replace(made, methods=made.methods[:1], rows=tuple(r for r in made.rows if r.method == "cold"))


# ---------------------------------------------------------------- sentences


SITUATIONS = {
    "faster": pair(FOUR_TIMES),
    "infinite": pair(HALF),
    "nearer": pair({1: 0.2, 2: 0.1, 4: 0.05, 8: 0.02, 16: 0.002}),
    "no faster": pair(BASELINE, FOUR_TIMES),
    "cannot tell": pair(FOUR_TIMES, sd=0.03),
    "identical": pair(BASELINE),
}


@pytest.mark.parametrize("case", SITUATIONS)
def test_no_sentence_says_more_than_the_outcome(case):
    v, a = verdict(SITUATIONS[case]), said(SITUATIONS[case])
    claims = "times as many" in a.text or "is not as good within" in a.text
    assert claims == (v.outcome is Outcome.FASTER)
    assert ("no faster" in a.text) == (v.outcome is Outcome.NO_FASTER)
    assert ("Cannot tell" in a.text) == (v.outcome is Outcome.CANNOT_TELL)
    assert (v.rate is not None) == (v.outcome is Outcome.FASTER)
    assert a.question == "Does warm need fewer network calls than cold for the same quality?"
    assert "nan" not in a.text and "inf" not in a.text
