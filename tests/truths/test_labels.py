"""Labels: guidance of fields known in closed form, its calls row by row, drafts and pairs that keep to their class."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.contracts import Batch, Estimate, Field, Player, Start
from warmflow.couplings import Assignment, Given, Independent, prepare
from warmflow.drafts.mixture import Mixture
from warmflow.evaluation.study import Role
from warmflow.experiments.members import members_of
from warmflow.fields import ExactGaussian, ExactMixture, Guided, NetworkField
from warmflow.methods import Parts, settled
from warmflow.methods.flow import DROP
from warmflow.methods.pairing import coupling_of
from warmflow.methods.warm_start import WarmStart
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.problems.digits import Digits
from warmflow.sampler import Sampler
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Midpoint
from warmflow.sources import Blurred, ByLabel, Gaussian, Labelled, StandardNormal
from warmflow.training import train

MEANS, STD = torch.tensor([[-2.0, 0.0], [2.0, 1.0]]), 0.5
EYE = torch.eye(2, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class TwoClasses(Field):
    """The exact velocities from N(0, I) to N(m_k, STD^2 I) given the label k, and to their mixture where it is dropped."""

    path: LinearPath
    rows: list[int] = field(default_factory=list)

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        label = start.condition["label"]
        self.rows.append(len(x_t))
        whole = ExactMixture(torch.tensor([0.5, 0.5]), torch.zeros(1, 2), MEANS, 1.0, STD, self.path)(x_t, t, start)
        velocity = whole.velocity.clone()  # type: ignore[union-attr]
        for k in (0, 1):
            found = ExactGaussian(torch.zeros(2), EYE, MEANS[k], EYE * STD**2, self.path)(x_t, t, start).velocity
            velocity = torch.where((label == k)[:, None], found, velocity)  # type: ignore[arg-type]
        return replace(whole, velocity=velocity, x1=self.path.x1(velocity, x_t, t, start))


def start_of(n: int) -> Start:
    noise = Noise.of(0, n)
    return Start(noise.normal("x", 2), {"label": torch.arange(n) % 2})


# ---------------------------------------------------------------- guidance


def test_guidance_of_two_gaussians_is_their_line_within_the_interval_and_the_label_s_own_without() -> None:
    n = 6
    start, low, high = start_of(n), 0.3, 0.7
    t = torch.tensor([0.1, math.nextafter(low, 0), low, 0.5, high, math.nextafter(high, 1)], dtype=torch.float64)
    exact = TwoClasses(LinearPath(0.0))
    c = exact(start.x0, t, start)
    u = exact(start.x0, t, replace(start, condition={"label": torch.full((n,), -1)}))
    exact.rows.clear()
    found = Guided(exact, 3.0, interval=(low, high))(start.x0, t, start)
    inside = torch.tensor([False, False, True, True, True, False])
    assert found.calls.tolist() == [1, 1, 2, 2, 2, 1] and exact.rows == [6, 3]
    for ours, seeing, blind in ((found.velocity, c.velocity, u.velocity), (found.x1, c.x1, u.x1)):
        assert ours is not None and seeing is not None and blind is not None
        assert torch.equal(ours[~inside], seeing[~inside])
        assert torch.allclose(ours[inside], (blind + 3 * (seeing - blind))[inside], atol=1e-6)
        assert float((ours - seeing)[inside].abs().max()) > 0.1


@pytest.mark.parametrize("solver", [Euler(), Heun(), Midpoint(), RK4(), AdamsBashforth()])
def test_a_guided_walk_counts_every_row_the_network_was_asked_for(solver) -> None:  # type: ignore[no-untyped-def]
    exact = TwoClasses(LinearPath(0.0))
    for interval in (None, (0.25, 0.5)):
        exact.rows.clear()
        drawn = Sampler(Labelled.of(StandardNormal((2,)), torch.tensor([0, 1])), Guided(exact, 2.0, interval=interval),
                        solver, 8)(10, seed=0)  # fmt: skip
        assert int(drawn.calls.sum()) == sum(exact.rows)
    if isinstance(solver, Euler):  # of t = 0, 1/8, .. 7/8 three stand in the interval
        assert bool((drawn.calls == 8 + 3).all())


def test_a_scale_of_nought_ignores_the_label_and_one_is_the_label_s_own_law() -> None:
    exact, source = TwoClasses(LinearPath(0.0)), Labelled.of(StandardNormal((2,)), torch.tensor([0, 1]))
    given = {"label": torch.ones(4000, dtype=torch.int64)}

    def mean(scale: float) -> float:
        sampler = Sampler(source, Guided(exact, scale), Euler(), 32)
        return float(sampler(4000, seed=0, condition=given).x[:, 0].mean())

    assert mean(1.0) == pytest.approx(2.0, abs=0.05) and mean(0.0) == pytest.approx(0.0, abs=0.15)
    assert mean(3.0) > mean(1.0)


@pytest.mark.parametrize(
    "bad", [(math.nan, None), (math.inf, None), (2.0, (0.7, 0.3)), (2.0, (0.5, 0.5)), (2.0, (0.5, 1.5))]
)
def test_impossible_guidance_is_refused(bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="guidance"):
        Guided(TwoClasses(LinearPath(0.0)), bad[0], interval=bad[1])


# ---------------------------------------------------------------- drafts and pairs


def far(labels: Tensor) -> ByLabel:
    """Drafts of label k around 10 k."""
    noise = Noise.of(1, 100).normal("far", 2)
    return ByLabel.of([Gaussian.fit(noise + 10 * k) for k in range(3)], labels)


def test_a_draft_s_label_is_drawn_by_the_shares_and_is_its_own() -> None:
    labels = torch.tensor([0] * 10 + [1] * 30 + [2] * 60)
    start = far(labels).draw(6000, noise=Noise.of(0, 6000))
    found = start.condition["label"]
    assert torch.equal((start.x0.mean(1) / 10).round().long(), found)
    assert torch.allclose(torch.bincount(found) / 6000, torch.tensor([0.1, 0.3, 0.6]), atol=0.02)
    with pytest.raises(ValueError, match=r"labels are 0 \.\. 3; this source knows 0 \.\. 2"):
        far(labels).draw(2, {"label": torch.tensor([0, 3])}, noise=Noise.of(0, 2))
    with pytest.raises(ValueError, match="2 sources"):
        ByLabel((StandardNormal((2,)), StandardNormal((3,))), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("passes", [0, 2])
def test_pairs_keep_to_their_class_and_use_every_start_once(passes: int) -> None:
    n = 300
    label = torch.arange(n) % 3
    data = Batch(Noise.of(2, n).normal("x", 2), {"label": label}, torch.arange(n))
    setup = Digits().setup(conditional=True)
    coupling = coupling_of("whole-set", WarmStart(), setup)
    assert coupling == coupling_of("minibatch", WarmStart(), setup) == Assignment(within="label")
    assert coupling_of("independent", WarmStart(), setup) == Independent()
    found = prepare(coupling, data, far(label), block=64, passes=passes)
    start = found.start
    assert start is not None and found.index is not None
    assert torch.equal(start.condition["label"], label[found.index])
    assert torch.equal((start.x0.mean(1) / 10).round().long(), label[found.index])
    assert len(start.x0.unique(dim=0)) == n and sorted(found.index.tolist()) == list(range(n))


def test_a_draft_is_fitted_to_each_class_and_every_flow_sees_the_label() -> None:
    setup = Digits().setup(conditional=True, width=16, depth=1)
    members = members_of(setup, [WarmStart(draft=Mixture(components=20), rounds=1, block=400)])
    assert {m.role for m in members} == {Role.CANDIDATE, Role.BASELINE, Role.CONTROL} and len(members) == 5
    parts = Parts(setup, 0)
    drafted = members[0].method.drafted(parts)
    assert drafted is not None and isinstance(drafted.pairs, Batch)
    draft, paired, train_part = drafted.draft, drafted.pairs, setup.data.train
    assert isinstance(draft, ByLabel) and len(draft.sources) == 10
    assert all(len(source.weights) == 2 for source in draft.sources)  # type: ignore[attr-defined]  # 20 in all
    for k in (0, 7):  # the class's own mean, not that of all
        own = train_part.x1[train_part.condition["label"] == k].mean(0)
        drawn = draft.draw(400, {"label": torch.full((400,), k)}, noise=Noise.of(0, 400)).x0.mean(0)
        assert float((drawn - own).abs().mean()) < 0.06 < float((drawn - train_part.x1.mean(0)).abs().mean())
    assert paired.start is not None and paired.index is not None
    assert torch.equal(paired.start.condition["label"], train_part.condition["label"][paired.index])
    for member in members:
        objective, data = member.method.stages(parts)[0].make({})
        assert isinstance(objective, FlowMatching) and "label" in objective.field.sees and objective.drop == DROP == 0.1
        assert objective.field.network.arguments["classes"] == 10  # type: ignore[index, union-attr]
        noise = Noise.of(0, 60)
        pair = objective.pair(data[torch.arange(60)], noise=noise)
        assert "label" in pair.start.condition and bool(torch.isfinite(objective.loss("flow", pair, noise=noise)[0]))
        if member.name == "cold-minibatch":
            assert torch.equal(pair.start.condition["label"], train_part.condition["label"][:60])


def test_guided_samplers_are_guided_and_are_trained_blind_to_a_tenth_of_the_labels() -> None:
    setup = Digits().setup(conditional=True, width=16, depth=1, guidance=2.0, guidance_interval="0.2,0.8")
    method = settled(WarmStart(pairing="independent"), setup)
    parts = Parts(setup, 0)
    objective, _ = method.stages(parts)[0].make({})
    assert isinstance(objective, FlowMatching) and isinstance(objective.field, NetworkField), "trained without guidance"
    field = method.sampler(parts, {"flow": objective.field.network}).field
    assert isinstance(field, Guided) and (field.scale, field.interval) == (2.0, (0.2, 0.8))
    assert isinstance(field.field, NetworkField) and field.field.network is objective.field.network


# ---------------------------------------------------------------- what is learned


@pytest.mark.long
def test_the_law_given_the_label_is_reached_and_the_dropped_label_is_the_whole_law() -> None:
    n = 3000
    label = (torch.arange(n) % 4 == 0).long()  # a quarter are of label 1
    x = torch.where(label == 1, 1.5, -0.5)[:, None] + torch.where(label == 1, 0.2, 0.6)[:, None] * Noise.of(
        3, n
    ).normal("x", 1)
    draft = ByLabel.of([Gaussian.fit(x[label == k] + 0.3) for k in (0, 1)], label)
    paired = prepare(Assignment(within="label"), Batch(x, {"label": label}, torch.arange(n)), draft, block=1000)
    net = seeded(0, lambda: MLP((1,), sees={"draft": (1,)}, classes=2, width=64, depth=2))
    source = Blurred(draft, 0.3)
    flow = NetworkField(net, LinearPath(0.5), "x1", ("draft", "label"))
    objective = FlowMatching(flow, source, Given(), Player(net, 3e-3, ema=0.99), drop=0.1)
    done = train(objective, paired, steps=500, batch=256, seed=0, warmup=50)
    sampler = Sampler(source, replace(flow, network=done.networks["flow"]), Euler(), 8)
    for k, (mean, std) in enumerate(((-0.5, 0.6), (1.5, 0.2))):
        drawn = sampler(2000, seed=0, condition={"label": torch.full((2000,), k)}).x
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.12) and float(drawn.std()) == pytest.approx(
            std, abs=0.12
        )
    every = sampler(4000, seed=1)
    assert float((every.start.condition["label"] == 1).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float(every.x.mean()) == pytest.approx(0.0, abs=0.12)
    assert np.isfinite(every.x.numpy()).all()


def test_labels_that_are_given_are_labels() -> None:
    source = Labelled.of(StandardNormal((2,)), torch.tensor([0, 1, 2]))
    for bad in (3, -1):
        with pytest.raises(ValueError, match=rf"label is {bad}; the labels here are 0 \.\. 2"):
            source.draw(4, {"label": torch.tensor([0, 1, 2, bad])}, noise=Noise.of(0, 4))
