"""What each training seed starts from: made anew with the seed, on the same data, billed once; and the flows made of noise."""

from dataclasses import replace

import pytest
import torch

from warmflow.drafts import NoDraft, Own
from warmflow.drafts.mixture import Mixture
from warmflow.evaluation.study import Role
from warmflow.experiments.members import members_of
from warmflow.experiments.work import Work, prepare_all
from warmflow.fields import NetworkField
from warmflow.methods import Parts
from warmflow.methods.cold import NOISE_BILL
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.problems.digits import Digits
from warmflow.problems.own import Arrays
from warmflow.sources import Blurred, GaussianMixture, StandardNormal

WARM = WarmStart(draft=Mixture(components=3), rounds=2, block=200, passes=1)
TRAINING = {"width": 8, "depth": 1, "updates": 3}
SEEDS = (0, 1)


def work_in(folder):
    problem = Digits()
    setup = problem.setup(**TRAINING)
    work = Work(problem, setup.training, tuple(members_of(setup, [WARM])), folder)
    work.keep(setup)
    return work


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    found = work_in(tmp_path_factory.mktemp("prepared"))
    prepare_all(found, SEEDS)
    return found


def made(work, name, seed=0):
    """The objective of a method under a seed, what it is trained on, and its sampler with fresh weights."""
    method, parts = work.member(name).method, work.parts(seed)
    objective, data = method.stages(parts)[0].make({})
    return objective, data, method.sampler(parts, {"flow": objective.players["flow"].network})


def same(a, b):
    return torch.equal(a.start.x0, b.start.x0) and torch.equal(a.index, b.index) and torch.equal(a.x1, b.x1)


def test_the_draft_of_a_seed_is_fitted_with_it_to_the_same_data(work):
    method, train = work.member("warm-start").method, work.setup().data.train
    drafts = [method.starts_from(work.parts(seed)).source for seed in SEEDS]
    for seed, draft in enumerate(drafts):
        assert torch.equal(draft.means, GaussianMixture.fit(train.x1, components=3, seed=seed).means)
        assert len(list((work.root / "seeds" / str(seed) / "drafts").iterdir())) == 1, "it is kept"
    assert not torch.equal(drafts[0].means, drafts[1].means), "two fits of one seed would have no spread"


@pytest.mark.parametrize("name", ["warm-start", "warm-start-from-noise", "cold-whole-set"])
def test_pairs_are_made_anew_for_each_seed_and_end_in_the_same_data(work, name):
    first, second = (made(work, name, seed)[1] for seed in SEEDS)
    train = work.setup().data.train
    n = len(train)
    assert not torch.equal(first.start.x0, second.start.x0)
    for pairs in (first, second):
        assert torch.equal(torch.bincount(pairs.index, minlength=n), torch.full((n,), 2)), "every sample, twice"
        assert torch.equal(pairs.x1, train.x1[pairs.index])


def test_a_draft_of_the_users_own_is_taken_as_it_is_and_paired_anew(tmp_path):
    x = Noise.of(0, 400).normal("x", 2)
    setup = Arrays(data=x).setup()
    mine = Own(samples=lambda n, seed: 3 + Noise.of(seed, n).normal("mine", 2))
    method = WarmStart(draft=mine, pairing="whole-set", rounds=1, block=400, sigma=0.1)
    starts = []
    for seed in SEEDS:
        drafted = method.drafted(Parts(setup, seed, tmp_path / str(seed)))
        starts.append(drafted.pairs.start.x0)
        assert not (tmp_path / str(seed) / "drafts").exists(), "what is brought is not kept"
    assert not torch.equal(*starts) and all(abs(float(x0.mean()) - 3) < 0.1 for x0 in starts)


def test_the_control_is_the_warm_start_from_noise(work):
    """Everything but the draft is the warm flow's: sigma, what the network sees, t0, how pairs are made."""
    (warm_objective, _, warm), (objective, pairs, noise) = (
        made(work, name) for name in ("warm-start", "warm-start-from-noise")
    )
    source = noise.source
    assert isinstance(source, Blurred) and isinstance(source.source, StandardNormal)
    assert isinstance(warm.source, Blurred) and source.sigma == warm.source.sigma > 0
    assert noise.solver == warm.solver and noise.field.path.t0 == warm.field.path.t0 > 0
    fields = [one.field for one in (warm_objective, objective)]
    assert all(isinstance(f, NetworkField) and f.sees == ("draft",) for f in fields)
    assert fields[0].network.arguments == fields[1].network.arguments
    assert abs(float(pairs.start.x0.mean())) < 0.01 and abs(float(pairs.start.x0.std()) - 1) < 0.01
    member = work.member("warm-start-from-noise")
    assert member.role is Role.CONTROL and member.of == "warm-start"


def cost(pairs, rows=2000):
    return float((pairs.start.x0 - pairs.x1)[:rows].square().flatten(1).sum(1).mean())


def test_the_whole_set_baseline_is_cold_and_paired_with_the_effort_of_the_warm_flow(work):
    objective, pairs, sampler = made(work, "cold-whole-set")
    assert work.member("cold-whole-set").role is Role.BASELINE
    assert sampler.field.path.t0 == 0 and objective.field.sees == ()
    assert isinstance(sampler.source, StandardNormal)
    mixed = replace(pairs, start=pairs.start[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))])
    batch = pairs[slice(0, 64)]
    online = made(work, "cold-minibatch")[0].pair(replace(batch, start=None), noise=Noise.of(0, 64))
    assert cost(pairs) < cost(online) < cost(mixed), "whole-set, minibatch, independent"
    # one pass and a block as large as the warm flow's are asked of it, and no others
    folders = list((work.root / "seeds" / "0" / "pairs").iterdir())
    files = {folder.name.rpartition("-")[0]: sorted(p.name for p in folder.iterdir()) for folder in folders}
    warm, cold = (next(v for k, v in files.items() if k.startswith(start)) for start in ("mixture-", "noise"))
    assert warm == cold and any("pass-0000" in name for name in warm)


def test_other_pairings_of_the_warm_flow(work):
    setup = work.setup()

    def of_noise(**changes):
        """The pairings of the control and of the whole-set baseline."""
        others = WarmStart(rounds=1, block=200, passes=0, **changes).companions(setup)
        control = next(m for m, role in others if role is Role.CONTROL)
        assert isinstance(control.draft, NoDraft)
        return control.pairing, [m.pairing for m, role in others if role is Role.BASELINE]

    cold = ["independent", "minibatch", "whole-set"]
    assert of_noise(pairing="nearest-data") == ("nearest-data", cold)
    assert of_noise(pairing="given") == ("whole-set", cold), "drafts given with the data have no counterpart"


def test_a_seed_is_billed_for_what_was_made_and_not_for_reading_it(work):
    seen = {}
    for name in ("warm-start", "cold-whole-set", "cold"):
        parts = work.parts(0)
        work.member(name).method.stages(parts)
        seen[name] = dict(parts.used)
    assert set(seen["warm-start"]) == {"draft", "pairing"} and set(seen["cold-whole-set"]) == {NOISE_BILL}
    assert not seen["cold"] and min(v for bill in seen.values() for v in bill.values()) > 0
    kept = work.parts(0).seconds()
    again = made(replace(work), "warm-start")[1]
    assert same(again, made(work, "warm-start")[1]) and work.parts(0).seconds() == kept


def test_seeds_made_beside_each_other_are_those_made_one_after_another(work, tmp_path):
    beside = work_in(tmp_path)
    prepare_all(beside, SEEDS, jobs=2)
    for seed in SEEDS:
        for name in ("warm-start", "warm-start-from-noise"):
            assert same(made(beside, name, seed)[1], made(work, name, seed)[1])
