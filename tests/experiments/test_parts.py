"""What each training seed starts from: made anew with the seed, on the same data, billed once; and the flows made of noise."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warmflow.checkpoints import load_part
from warmflow.contracts import Batch, Data
from warmflow.drafts import NoDraft, Own
from warmflow.drafts.mixture import Gaussian, Mixture
from warmflow.evaluation.study import Role
from warmflow.experiments.members import members_of
from warmflow.experiments.trained_runs import bills_of
from warmflow.experiments.work import Work, prepare_all, seed_folder, train_all
from warmflow.fields import NetworkField
from warmflow.methods import Parts, settled
from warmflow.methods.cold import NOISE_BILL, Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.problems import Problem, problem_of
from warmflow.problems.digits import Digits
from warmflow.sources import Blurred, GaussianMixture, StandardNormal

NAMES = ("warm-start", "warm-start-from-noise", "cold", "cold-minibatch", "cold-whole-set")
SMALL = {"width": 8, "depth": 1, "updates": 3}
DRAFT = Mixture(components=3)
WARM = WarmStart(draft=DRAFT, rounds=2, block=200, passes=1)


def work_in(root: Path, problem: Problem | None = None, *methods: Any) -> Work:
    """A comparison's work, with the data of this process kept as ``compare`` keeps them."""
    asked = Digits() if problem is None else problem
    setup = asked.setup(**SMALL)
    work = Work(asked, setup.training, tuple(members_of(setup, methods or [WARM])), root)
    work.keep(setup)
    return work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    found = work_in(tmp_path_factory.mktemp("parts"))
    prepare_all(found, (0, 1))
    return found


def made(work: Work, name: str, seed: int) -> tuple[FlowMatching, Data]:
    objective, data = work.member(name).method.stages(work.parts(seed))[0].make({})
    assert isinstance(objective, FlowMatching)
    return objective, data


def pairs(work: Work, name: str, seed: int) -> Batch:
    data = made(work, name, seed)[1]
    assert isinstance(data, Batch) and data.start is not None and data.index is not None
    return data


def same(a: Batch, b: Batch) -> bool:
    assert a.start is not None and b.start is not None and a.index is not None and b.index is not None
    return torch.equal(a.start.x0, b.start.x0) and torch.equal(a.index, b.index) and torch.equal(a.x1, b.x1)


def test_the_draft_of_a_seed_is_fitted_with_it_to_the_same_data(work: Work) -> None:
    drafts = [work.parts(seed).draft(DRAFT) for seed in (0, 1)]
    for seed, draft in enumerate(drafts):
        assert isinstance(draft, GaussianMixture)
        theirs = GaussianMixture.fit(work.setup().data.train.x1, components=3, seed=seed)
        assert torch.equal(draft.means, theirs.means)
        (kept,) = (seed_folder(work.root, seed) / "drafts").glob("mixture-*/source")
        assert torch.equal(load_part(kept, "source").means, draft.means)
    assert not torch.equal(drafts[0].means, drafts[1].means), "two fits of one seed would have no spread"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["warm-start", "warm-start-from-noise", "cold-whole-set"])
def test_pairs_are_made_anew_for_each_seed_and_end_in_the_same_data(work: Work, name: str) -> None:
    first, second = (pairs(work, name, seed) for seed in (0, 1))
    train, n = work.setup().data.train, len(work.setup().data.train)
    assert not torch.equal(first.start.x0, second.start.x0)  # type: ignore[union-attr]
    for found in (first, second):
        assert found.index is not None
        assert torch.equal(torch.bincount(found.index, minlength=n), torch.full((n,), 2)), "two rounds of every sample"
        assert torch.equal(found.x1, train.x1[found.index])


def around_three(n: int, seed: int) -> torch.Tensor:
    return 3 + Noise.of(seed, n).normal("mine", 2)


def test_a_draft_of_the_users_own_is_taken_as_it_is_and_paired_anew(tmp_path: Path) -> None:
    problem = problem_of(Noise.of(0, 400).normal("x", 2))
    method = WarmStart(draft=Own(samples=around_three), rounds=1, block=400)
    work = work_in(tmp_path, problem, method)
    starts = []
    for seed in (0, 1):
        found = pairs(work, "warm-start", seed)
        assert found.start is not None
        starts.append(found.start.x0)
        assert not (seed_folder(tmp_path, seed) / "drafts").exists(), "a run folder cannot hold the user's function"
    assert not torch.equal(*starts) and all(abs(float(x0.mean()) - 3) < 0.1 for x0 in starts)
    assert work.member("warm-start").method.brings(work.setup()) == ("draft",)
    assert settled(WARM, Digits().setup()).brings(Digits().setup()) == ()


def test_the_control_is_the_warm_start_from_noise(work: Work) -> None:
    """Everything but the draft is the warm flow's: sigma, what the network sees, t0, how pairs are made."""
    warm, noise = (work.member(name).method for name in ("warm-start", "warm-start-from-noise"))
    assert isinstance(warm, WarmStart) and noise == replace(warm, draft=NoDraft())
    objectives = [made(work, name, 0)[0] for name in ("warm-start", "warm-start-from-noise")]
    fields = [objective.field for objective in objectives]
    assert all(isinstance(f, NetworkField) and f.sees == ("draft",) for f in fields)
    assert fields[0].network.arguments == fields[1].network.arguments  # type: ignore[union-attr]
    samplers = [
        work.member(name).method.sampler(work.parts(0), {"flow": f.network})  # type: ignore[dict-item]
        for name, f in zip(("warm-start", "warm-start-from-noise"), fields, strict=True)
    ]
    theirs, ours = samplers[0].source, samplers[1].source
    assert isinstance(ours, Blurred) and isinstance(ours.source, StandardNormal)
    assert isinstance(theirs, Blurred) and ours.sigma == theirs.sigma > 0
    assert samplers[0].solver == samplers[1].solver
    assert samplers[0].field.path.t0 == samplers[1].field.path.t0 > 0  # type: ignore[attr-defined]
    x0 = pairs(work, "warm-start-from-noise", 0).start.x0  # type: ignore[union-attr]
    assert abs(float(x0.mean())) < 0.01 and abs(float(x0.std()) - 1) < 0.01
    member = work.member("warm-start-from-noise")
    assert (member.role, member.of) == (Role.CONTROL, "warm-start")


def cost(found: Batch, rows: int = 2000) -> float:
    assert found.start is not None
    return float((found.start.x0 - found.x1)[:rows].square().flatten(1).sum(1).mean())


def test_the_whole_set_baseline_is_cold_and_paired_with_the_effort_of_the_warm_flow(work: Work) -> None:
    assert work.member("cold-whole-set").role is Role.BASELINE
    objective, data = made(work, "cold-whole-set", 0)
    assert isinstance(objective.field, NetworkField) and objective.field.sees == ()
    assert objective.field.path.t0 == 0 and isinstance(objective.source, StandardNormal)
    found = pairs(work, "cold-whole-set", 0)
    assert isinstance(data, Batch) and same(found, data) and found.start is not None
    mixed = replace(found, start=found.start[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))])
    batch = found[slice(0, 64)]
    online, bare = made(work, "cold-minibatch", 0)
    assert bare is work.setup().data.train
    pair = online.pair(replace(batch, start=None), noise=Noise.of(0, 64))
    minibatch = float((pair.start.x0 - pair.x1).square().flatten(1).sum(1).mean())
    assert cost(found) < minibatch < cost(mixed), "whole-set, minibatch, independent"
    # one more pass and a block as large as the warm flow's are asked of it, and no others
    folders = sorted((seed_folder(work.root, 0) / "pairs").iterdir())
    assert [f.name.split("-")[0] for f in folders] == ["mixture", "noise"], "the control and the baseline share pairs"
    files = [sorted(p.name for p in folder.iterdir()) for folder in folders]
    assert files[0] == files[1] and any("pass-0000" in name for name in files[0])


def test_companions_of_other_pairings() -> None:
    setup = Digits().setup(**SMALL)

    def found(pairing: str, draft: Any = DRAFT) -> dict[str, Any]:
        asked = WarmStart(draft=draft, pairing=pairing, rounds=2, block=200)
        return {m.name: m.method for m in members_of(setup, [asked])}

    aligned = Own(samples=torch.zeros(1797, 1, 8, 8))
    nearest, given = found("nearest-data"), found("given", aligned)
    assert set(nearest) == set(given) == set(NAMES)
    assert nearest["warm-start-from-noise"].pairing == "nearest-data"
    assert given["warm-start-from-noise"].pairing == "whole-set", "drafts given with the data have no counterpart"
    for methods in (nearest, given):
        whole = methods["cold-whole-set"]
        assert isinstance(whole, Cold) and (whole.pairing, whole.rounds, whole.block) == ("whole-set", 2, 200)
        assert methods["cold"].pairing == "independent" and methods["cold-minibatch"].pairing == "minibatch"


def test_a_seed_is_billed_for_what_was_made_and_not_for_reading_it(work: Work, tmp_path: Path) -> None:
    here = replace(work, root=shutil.copytree(work.root, tmp_path / "copy"))
    train_all(here, (0, 1))
    found = bills_of(here.runs((0, 1)))
    assert {name: set(bill) for name, bill in found.items()} == {
        "warm-start": {"draft", "pairing"}, "warm-start-from-noise": {NOISE_BILL}, "cold": set(), "cold-minibatch": set(),
        "cold-whole-set": {NOISE_BILL},
    }  # fmt: skip
    assert min(value for bill in found.values() for value in bill.values()) > 0
    made_in = [work.parts(seed).seconds() for seed in (0, 1)]
    assert [here.parts(seed).seconds() for seed in (0, 1)] == made_in, "no part was made twice"
    for name in ("draft", "pairing"):
        each = [here.saved("warm-start", seed).spent[name] for seed in (0, 1)]
        assert found["warm-start"][name] == pytest.approx(sum(each) / 2)
        assert all(any(seconds == one for one in kept.values()) for seconds, kept in zip(each, made_in, strict=True))
    shutil.rmtree(here.folder("warm-start", 0))
    here.run("warm-start", 0)
    assert bills_of(here.runs((0, 1))) == found, "trained again from parts that are read"


def test_candidates_of_one_control_train_it_once(tmp_path: Path) -> None:
    other = WarmStart(draft=Gaussian(), rounds=2, block=200, passes=1)
    here = work_in(tmp_path, None, WARM, other)
    controls = [m for m in here.members if m.role is Role.CONTROL]
    assert [m.of for m in controls] == ["warm-start", "warm-start-2"] and controls[0].method == controls[1].method
    prepare_all(here, (0,))
    train_all(here, (0,))
    kept = {path.parent.name for path in seed_folder(here.root, 0).glob("*/model.json")}
    assert kept == {m.name for m in here.members} - {controls[1].name}
    runs = {run.member.name: run for run in here.runs((0,))}
    first, second = (runs[m.name] for m in controls)
    assert torch.equal(first.sampler(9, seed=1, steps=2).x, second.sampler(9, seed=1, steps=2).x)
    assert first.saved.config == second.saved.config and first.saved.seconds > 0


def test_parts_of_no_folder_are_made_and_not_kept() -> None:
    setup = Digits().setup(**SMALL)
    parts = Parts(setup, 0)
    method = settled(replace(WARM, rounds=1), setup)
    assert method.drafted(parts) is not None and parts.draft(DRAFT) is parts.draft(DRAFT)
    assert set(parts.used) == {"draft", "pairing"} and min(parts.used.values()) > 0


@pytest.mark.long
def test_seeds_made_beside_each_other_are_those_made_one_after_another(work: Work, tmp_path: Path) -> None:
    """Bit for bit, in two processes."""
    beside = work_in(tmp_path)
    prepare_all(beside, (0, 1), jobs=2)
    for seed in (0, 1):
        for name in ("warm-start", "warm-start-from-noise", "cold-whole-set"):
            folder = seed_folder(tmp_path, seed)
            stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
            assert same(pairs(beside, name, seed), pairs(work, name, seed))
            assert stamps == {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}, "read, not made again"


def test_workers_tell_arrays_apart_whose_corners_agree(tmp_path: Path) -> None:
    """The processes live on from one comparison to the next; the repr of a large array shows its corners only."""
    x = np.zeros((2000, 2), np.float32)
    x[3:-3] = np.random.default_rng(0).normal(size=(1994, 2))
    y = x.copy()
    y[3:-3] += 5
    assert repr(x) == repr(y)
    for name, array in (("x", x), ("y", y)):
        work = work_in(tmp_path / name, problem_of(array), WarmStart(draft=DRAFT, rounds=1, block=500))
        prepare_all(work, (0, 1), jobs=2)
        draft = work.parts(0).draft(DRAFT)
        middle = float(draft.draw(500, noise=Noise.of(0, 500)).x0.mean())
        assert middle == pytest.approx(float(array.mean()), abs=0.3), name
