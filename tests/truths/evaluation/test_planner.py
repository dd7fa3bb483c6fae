"""Few seeds where the pilot is clear, more where it is noisy, and none where nothing is to be found."""

import dataclasses
import json

import numpy as np
import pytest
from hand_made import BASELINE, FOUR_TIMES, Given, curve, pair, study

from warmflow.cli import main
from warmflow.evaluation import planner
from warmflow.evaluation.curves import Curve
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.planner import MOST_SEEDS, _pilot, _simulated, plan, plan_of, power
from warmflow.evaluation.record import save_study
from warmflow.evaluation.study import Role

RULES = Rules(floor={"m": 1e-3})


def pilot(sd, k=3, warm=FOUR_TIMES, real=0.0, samples=2_000):
    """Curves whose seeds differ by Gaussian noise of each row, as finite samples make it."""
    generator = np.random.default_rng(0)
    found = []
    for name, means in (("warm", warm), ("cold", BASELINE)):
        made = curve(name, means, sd=0.0, real=real, k=k)
        values = {m: v + sd * generator.standard_normal(v.shape) for m, v in made.values.items()}
        found.append(Curve(**{**vars(made), "values": values}))
    return _pilot(found, samples, 2_000, 1_000)


@pytest.mark.long
def test_a_clear_pilot_needs_few_seeds_and_a_noisy_one_more():
    clear = plan(study(pair(FOUR_TIMES, sd=2e-4)), studies=40)
    noisy = plan(study(pair(FOUR_TIMES, sd=4e-3)), studies=40)
    assert clear.seeds == 2 and clear.samples == 2_000
    assert noisy.seeds is not None and noisy.seeds > clear.seeds
    assert clear.power >= 0.8 and noisy.power >= 0.8
    assert f"{noisy.seeds} training seeds with {noisy.samples:,} samples each" in noisy.text


def test_identical_methods_have_no_plan():
    found = plan(study(pair(BASELINE, sd=2e-4)), studies=40)
    assert found.seeds is None and found.samples is None
    assert found.text.startswith("No number of training seeds up to 20 is sufficient: the pilot shows no speed-up")
    assert max(p.power for p in found.curve) < 0.4


def test_more_seeds_have_more_power():
    made = pilot(4e-3)
    few, some, many = (power(made, k, 2_000, RULES, 60).power for k in (2, 5, MOST_SEEDS))
    assert few < some <= many and many > 0.9


def test_where_samples_are_the_noise_more_of_them_help_and_else_they_do_not():
    by_samples, by_training = pilot(4e-3, real=4e-3), pilot(4e-3)
    for share in by_samples.share[0]["m"], by_training.share[0]["m"]:
        assert ((share >= 0) & (share <= 1)).all()
    assert by_samples.share[0]["m"].mean() > 0.5 > by_training.share[0]["m"].mean() == 0
    gain = [
        power(p, 3, 20_000, RULES, 80).power - power(p, 3, 2_000, RULES, 80).power for p in (by_samples, by_training)
    ]
    assert gain[0] > 0.1 and abs(gain[1]) < 0.15


def test_simulated_studies_have_the_pilots_means_and_spread():
    made, generator = pilot(4e-3, k=6), np.random.default_rng(1)
    drawn = [_simulated(made, 4, 2_000, generator)[0].values["m"] for _ in range(400)]
    mean = np.mean([v.mean(0) for v in drawn], 0)
    assert mean == pytest.approx(made.curves[0].mean("m"), abs=5e-4)
    nu = made.freedom[0]
    spread = np.mean([v.var(0, ddof=1) for v in drawn], 0)
    pooled = (made.residuals[0]["m"] ** 2).sum(0) / nu
    assert spread == pytest.approx(pooled * nu / (nu - 2), rel=0.3)  # nu / chi^2(nu) has the mean nu / (nu - 2)


@pytest.mark.long
def test_the_cheapest_plan_is_the_one_with_the_fewest_seeds_unless_samples_save_none():
    found = plan_of(pilot(6e-3).curves, 2_000, 2_000, 1_000, rules=RULES, studies=60)
    assert found.samples == 2_000  # training is the noise
    assert [p.samples for p in found.curve] == sorted(p.samples for p in found.curve)
    asked = next(p for p in found.curve if (p.seeds, p.samples) == (found.seeds, found.samples))
    assert asked.power == found.power >= 0.8


@pytest.mark.long
def test_a_plan_reaches_two_thirds_of_the_rate_that_many_seeds_certify():
    found = plan_of(pilot(8e-3).curves, 2_000, 2_000, 1_000, rules=RULES, asked=0.5, studies=60)
    by_seeds = {p.seeds: p for p in found.curve if p.samples == found.samples}
    assert found.rate == by_seeds[found.seeds].rate >= by_seeds[MOST_SEEDS].rate * 2 / 3
    refused = [p for p in by_seeds.values() if p.seeds < found.seeds]
    assert any(p.power > 0.6 and p.rate < by_seeds[MOST_SEEDS].rate * 2 / 3 for p in refused)  # by power alone, fewer


@pytest.mark.long
def test_several_candidates_have_plans_of_their_own():
    methods = {**pair(FOUR_TIMES, sd=2e-4), "slow": Given(Role.CANDIDATE, BASELINE, sd=2e-4)}
    made = study(methods)
    assert plan(made, "warm", studies=30).seeds == 2
    assert plan(made, "slow", studies=30).seeds is None
    with pytest.raises(ValueError, match="candidate is 'cold'; this study has warm, slow"):
        plan(made, "cold")


@pytest.mark.long
def test_the_command_prints_the_plan_of_a_study_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(planner, "STUDIES", 20)
    save_study(tmp_path, study(pair(FOUR_TIMES, sd=2e-4)))
    assert main(["plan", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("2 training seeds with 2,000 samples each")
    assert main(["plan", str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["seeds"], found["candidate"]) == (2, "warm")
    for arguments, said in (
        (["plan", str(tmp_path), "--power", "2"], "--power is 2.0"),
        (["plan", str(tmp_path), "--candidate", "cold"], "candidate is 'cold'"),
        (["plan", str(tmp_path / "none")], "study.json"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest.mark.long
def test_a_pilot_of_one_seed_says_nothing():
    with pytest.raises(ValueError, match="one training seed"):
        plan(study(pair(FOUR_TIMES), k=1))
    assert dataclasses.is_dataclass(plan(study(pair(FOUR_TIMES), k=2), studies=20))
