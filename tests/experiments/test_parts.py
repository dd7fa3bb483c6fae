"""What each training seed starts from: made anew with the seed, on the same data, billed once; and the flows made of noise."""

from dataclasses import replace

import pytest
import torch

from warmflow.checkpoints import load_part
from warmflow.evaluation.study import Role
from warmflow.experiments.prepare import NOISE_BILL, Prepared, seed_folder
from warmflow.experiments.train_flows import prepare_all
from warmflow.fields import NetworkField
from warmflow.noise import Noise
from warmflow.recipes.build import plan_for, plan_of
from warmflow.recipes.settings import settings_of
from warmflow.sources import Blurred, GaussianMixture, StandardNormal

ARMS = ("cold", "cold_assigned", "cold_whole", "warm", "noise")
SMALL = {"width": 8, "depth": 1, "components": 3, "rounds": 2, "block": 200, "passes": 1, "updates": 3}


@pytest.fixture(scope="module")
def plan():
    return plan_for("digits", **SMALL)


@pytest.fixture(scope="module")
def prepared(plan, tmp_path_factory):
    found = Prepared(plan, tmp_path_factory.mktemp("prepared"))
    prepare_all(found, (0, 1), ARMS, jobs=1)
    return found


def same(a, b):
    return torch.equal(a.start.x0, b.start.x0) and torch.equal(a.index, b.index) and torch.equal(a.x1, b.x1)


def test_the_draft_of_a_seed_is_fitted_with_it_to_the_same_data(plan, prepared):
    drafts = [prepared.source(seed, "draft") for seed in (0, 1)]
    for seed, draft in enumerate(drafts):
        assert torch.equal(draft.means, GaussianMixture.fit(plan.data.train.x1, components=3, seed=seed).means)
        assert torch.equal(load_part(seed_folder(prepared.root, seed), "draft").means, draft.means)
    assert not torch.equal(drafts[0].means, drafts[1].means), "two fits of one seed would have no spread"


@pytest.mark.parametrize("arm", ["warm", "noise", "cold_whole"])
def test_pairs_are_made_anew_for_each_seed_and_end_in_the_same_data(plan, prepared, arm):
    first, second = (prepared.of(seed, arm)[1] for seed in (0, 1))
    n = len(plan.data.train)
    assert not torch.equal(first.start.x0, second.start.x0)
    for pairs in (first, second):
        assert torch.equal(torch.bincount(pairs.index, minlength=n), torch.full((n,), 2)), "two rounds of every datum"
        assert torch.equal(pairs.x1, plan.data.train.x1[pairs.index])


def test_a_draft_of_the_users_own_is_taken_as_it_is_and_paired_anew(tmp_path):
    x = Noise.of(0, 400).normal("x", 2)
    plan = plan_for(x, lambda n, seed: 3 + Noise.of(seed, n).normal("mine", 2), rounds=1, block=400)
    found = Prepared(plan, tmp_path, own=True)
    assert found.source(0, "draft") is found.source(1, "draft") and not (tmp_path / "seeds/0/draft.json").exists()
    starts = [found.of(seed, "warm")[1].start.x0 for seed in (0, 1)]
    assert not torch.equal(*starts) and all(abs(float(x0.mean()) - 3) < 0.1 for x0 in starts)


def test_the_control_is_the_warm_recipe_from_noise(plan, prepared):
    """Everything but the draft is the warm flow's: sigma, what the network sees, t0, how pairs are made."""
    warm, noise = (plan.flow.arm(plan, name, 0, *prepared.of(0, name)) for name in ("warm", "noise"))
    source = noise.sampler.source
    assert isinstance(source, Blurred) and isinstance(source.source, StandardNormal)
    assert isinstance(warm.sampler.source, Blurred) and source.sigma == warm.sampler.source.sigma > 0
    assert noise.sampler.solver == warm.sampler.solver and noise.sampler.field.path.t0 == warm.sampler.field.path.t0 > 0
    fields = [arm.objective.field for arm in (warm, noise)]
    assert all(isinstance(f, NetworkField) and f.sees == ("draft",) for f in fields)
    assert fields[0].network.arguments == fields[1].network.arguments
    pairs = prepared.of(0, "noise")[1]
    assert abs(float(pairs.start.x0.mean())) < 0.01 and abs(float(pairs.start.x0.std()) - 1) < 0.01
    assert plan.flow.role("noise") is Role.CONTROL and plan.flow.of("noise") == "warm"


def cost(pairs, rows=2000):
    return float((pairs.start.x0 - pairs.x1)[:rows].square().flatten(1).sum(1).mean())


def test_the_whole_set_baseline_is_cold_and_paired_with_the_effort_of_the_warm_flow(plan, prepared):
    flow = plan.flow.arm(plan, "cold_whole", 0, *prepared.of(0, "cold_whole"))
    assert plan.flow.role("cold_whole") is Role.BASELINE
    assert flow.sampler.field.path.t0 == 0 and flow.objective.field.sees == ()
    assert isinstance(flow.sampler.source, StandardNormal)
    pairs = prepared.of(0, "cold_whole")[1]
    assert flow.data is pairs
    mixed = replace(pairs, start=pairs.start[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))])
    batch = pairs[slice(0, 64)]
    online = plan.flow.arm(plan, "cold_assigned", 0, None, None).objective.pair(
        replace(batch, start=None), noise=Noise.of(0, 64)
    )
    assert cost(pairs) < cost(online) < cost(mixed), "whole-set, minibatch, independent"
    # one more pass and a block as large as the warm flow's are asked of it, and no others
    asked = {seed_folder(prepared.root, 0) / "pairs" / f"{name}-assignment" for name in ("draft", "noise")}
    made = [sorted(p.name for p in folder.iterdir()) for folder in sorted(asked)]
    assert made[0] == made[1] and any("pass-0000" in name for name in made[0])


def test_other_pairings_of_the_warm_flow(plan):
    flow = plan.flow
    nearest = replace(plan, settings=replace(plan.settings, pairing="nearest-datum"))
    given = replace(plan, settings=replace(plan.settings, pairing="given"))
    assert flow.paired(nearest, "noise") == ("noise", "nearest-datum")
    assert flow.paired(given, "noise") == ("noise", "assignment"), "drafts given with the data have no counterpart"
    assert flow.paired(nearest, "cold_whole") == flow.paired(given, "cold_whole") == ("noise", "assignment")
    assert flow.paired(plan, "cold") is None and flow.paired(plan, "cold_assigned") is None


def test_a_seed_is_billed_for_what_was_made_and_not_for_reading_it(plan, prepared):
    bill = prepared.bill((0, 1))
    assert set(bill) == {"draft", "pairing", NOISE_BILL} and min(bill.values()) > 0
    each = [prepared.seconds(seed) for seed in (0, 1)]
    assert all(bill[name] == pytest.approx((each[0][name] + each[1][name]) / 2) for name in bill)
    again = Prepared(plan, prepared.root)
    assert same(again.of(0, "warm")[1], prepared.of(0, "warm")[1])
    assert again.bill((0, 1)) == bill


def test_seeds_made_beside_each_other_are_those_made_one_after_another(plan, prepared, tmp_path):
    beside = Prepared(plan_of("images.digits", settings_of("images.digits", **SMALL)), tmp_path)
    prepare_all(beside, (0, 1), ARMS, jobs=2)
    for seed in (0, 1):
        for arm in ("warm", "noise"):
            assert same(beside.of(seed, arm)[1], prepared.of(seed, arm)[1])
