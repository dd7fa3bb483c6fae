"""Flow Generator Matching by quadrature: the gradient is that of E |u - v*|^2 at every time, it vanishes at the teacher's law,
reusing the generator's start is another gradient; and a student of a warm flow learns its conditional law."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Estimate, Field, Pair, Player, Source, Start
from warmflow.couplings import Assignment, Independent
from warmflow.fields import ExactMixture, NetworkField
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowGeneratorMatching
from warmflow.objectives.flow_generator_matching import matching_terms
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, Labelled, StandardNormal
from warmflow.training import train

WEIGHTS, ENDS, SPREAD = torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [1.2]]), 0.6
TEACHER = ExactMixture(WEIGHTS, torch.zeros(1, 1), ENDS, 1.0, SPREAD, LinearPath(0.0))


class Generator(nn.Module):
    """x1 = base(z) + w0 + w1 z + w2 z^2 + w3 tanh(2 z)."""

    def __init__(self, weights: list[float], base: Any = None) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.base = base

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        terms = torch.stack([torch.ones_like(x), x, x.square(), (2 * x).tanh()], -1)
        return (terms * self.w).sum(-1) + (0 if self.base is None else self.base(x))


class TrueVelocity(nn.Module):
    """v*(x, t) = E[g(z) - eps | (1 - t) eps + t g(z) = x], by quadrature over z. ``live`` lets gradients reach g."""

    def __init__(self, generator: Generator, live: bool = False) -> None:
        super().__init__()
        self.generator, self.live = [generator], live
        self.z = torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None]

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        g = self.generator[0](self.z)
        g = (g if self.live else g.detach()).T
        t = t[:, None]
        eps = (x - t * g) / (1 - t)
        weights = (-(self.z.T.square() + eps.square()) / 2).softmax(1)
        return (weights * (g - eps)).sum(1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Nodes(Source):
    """A source that gives the nodes of a quadrature."""

    nodes: Tensor
    takes: frozenset[str] = frozenset()
    shape: tuple[int, ...] = (1,)

    def draw(self, n: int, condition: Any = None, *, noise: Noise) -> Start:
        return Start(self.nodes, dict(condition or {}))


def grids() -> tuple[Tensor, Tensor, Tensor]:
    """z, eps and weights of E over two independent normals, (m, 1), (m, 1), (m,)."""
    z = torch.linspace(-7, 7, 401, dtype=torch.float64)
    wz = torch.exp(-z.square() / 2)
    x, w = np.polynomial.hermite_e.hermegauss(60)
    eps, we = torch.from_numpy(x), torch.from_numpy(w)
    weights = (wz / wz.sum())[:, None] * (we / we.sum())
    pairs = torch.cartesian_prod(z, eps)
    return pairs[:, :1], pairs[:, 1:], weights.flatten()


def distilling(generator: Generator, fresh: Tensor, share: float, alpha: float = 0.5) -> FlowGeneratorMatching:
    online = TrueVelocity(generator)
    path = LinearPath(0.0)
    by = {"online": Player(online), "student": Player(generator)}
    v, g = NetworkField(online, path), NetworkField(generator, path, "x1")
    return FlowGeneratorMatching(
        TEACHER, v, g, Nodes(fresh), Independent(), by, alpha, times=share, errors="velocity"
    )  # fmt: skip


def found_gradient(generator: Generator, share: float, reuse: bool = False) -> Tensor:
    z, eps, weights = grids()
    objective = distilling(generator, z if reuse else eps, share)
    generator.zero_grad()
    terms = objective.terms(Pair(Start(z), torch.zeros_like(z)), noise=Noise.of(0, len(z)))
    (terms * weights).sum().backward()
    assert generator.w.grad is not None
    return generator.w.grad.clone()


def true_gradient(generator: Generator, share: float) -> Tensor:
    """Of E |u(x_t) - v*(x_t)|^2, gradients through the law of x_t and through v*."""
    z, eps, weights = grids()
    t = torch.full((len(z),), share, dtype=torch.float64)
    x = (1 - share) * eps + share * generator(z)
    u = TEACHER(x, t, Start(eps)).velocity
    assert u is not None
    generator.zero_grad()
    ((u - TrueVelocity(generator, live=True)(x, t)).square().flatten() * weights).sum().backward()
    assert generator.w.grad is not None
    return generator.w.grad.clone()


ODD = [0.3, 0.5, 0.1, 0.4]


@pytest.mark.long
@pytest.mark.parametrize("share", [0.2, 0.35, 0.8])
def test_the_gradient_is_the_true_one_at_a_fixed_time(share: float) -> None:
    expected = true_gradient(Generator(ODD), share)
    found = found_gradient(Generator(ODD), share)
    assert float(expected.abs().max()) > 0.05, "nothing to compare"
    assert float((found - expected).abs().max()) < 1e-4
    reused = found_gradient(Generator(ODD), share, reuse=True)
    assert float((reused - expected).abs().max()) > 1e-2, "the generator's own start makes another gradient"


def quantiles(z: Tensor) -> Tensor:
    """The map that gives N(0, 1) the teacher's law, by bisection."""
    target = torch.special.ndtr(z)
    low, high = torch.full_like(z, -6.0), torch.full_like(z, 6.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = (WEIGHTS.double() * torch.special.ndtr((middle[..., None] - ENDS[:, 0].double()) / SPREAD)).sum(-1)
        low, high = torch.where(below < target, middle, low), torch.where(below < target, high, middle)
    return ((low + high) / 2).detach()


@pytest.mark.long
@pytest.mark.parametrize("share", [0.2, 0.35, 0.8])
def test_the_gradient_vanishes_at_the_teachers_law(share: float) -> None:
    found = found_gradient(Generator([0.0] * 4, quantiles), share)
    assert float(found.abs().max()) < 1e-4
    moved = found_gradient(Generator([0.1, 0.0, 0.0, 0.0], quantiles), share)
    assert float(moved.abs().max()) > 1e-2


def test_the_terms_are_those_of_the_paper() -> None:
    """alpha = 1/2: |d|^2 + 2 <d, v - u(.|x1)>, the paper's L1 + L2; alpha = 1: L2 alone."""
    u, v, c = (Noise.of(0, 7).normal(name, 3, dtype=torch.float64) for name in "uvc")
    d = u - v
    one, two = d.square().mean(1), (2 * d * (v - c)).mean(1)
    assert torch.allclose(matching_terms(u, v, c, 0.5), one + two)
    assert torch.allclose(matching_terms(u, v, c, 1.0), two)


# ---------------------------------------------------------------- a warm teacher

RHO, SIGMA, T0 = 0.8, 0.5, 0.6
WIDTH = math.sqrt(1 - RHO**2)


def velocity(x: Tensor, t: Tensor, draft: Tensor, mean1: Tensor, var1: Any) -> Tensor:
    """Of independent ends N(draft, SIGMA^2) and N(mean1, var1) on [T0, 1], given the draft."""
    t = t.to(x.dtype)[:, None]
    a, b = (1 - t) / (1 - T0), (t - T0) / (1 - T0)
    gain = (b * var1 - a * SIGMA**2) / (a**2 * SIGMA**2 + b**2 * var1)
    return (mean1 - draft + gain * (x - a * draft - b * mean1)) / (1 - T0)


@dataclass(frozen=True, eq=False)
class Warm(Field):
    """The exact field of correlated Gaussian pairs: given the draft d the datum is N(RHO d, 1 - RHO^2)."""

    path: LinearPath = LinearPath(T0)

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        draft = start.condition["draft"]
        u = velocity(x_t, t, draft, RHO * draft, WIDTH**2)
        return Estimate(torch.ones(len(x_t)), x1=self.path.x1(u, x_t, t, start), velocity=u)


class Tracked(nn.Module):
    """The exact velocity of some Gaussian conditional law, whose mean's slope and shift and whose width are learned."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.shift, self.log_width = (nn.Parameter(torch.tensor(v)) for v in (0.2, 0.3, 0.0))

    def forward(self, x: Tensor, t: Tensor, draft: Tensor) -> Tensor:
        return velocity(x, t, draft, self.slope * draft + self.shift, (2 * self.log_width).exp())


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p, self.q, self.r = (nn.Parameter(torch.tensor(v)) for v in (1.5, -0.5, 0.3))

    def forward(self, x: Tensor, t: Tensor, draft: Tensor) -> Tensor:
        return self.p * x + self.q * draft + self.r


@dataclass(frozen=True)
class Unpaired(Independent):
    """What must not be done: the fresh start is around another draft, which its field is not told."""

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        other = source.draw(len(batch), None, noise=noise)
        return Pair(replace(other, condition=dict(batch.condition)), batch.x1)


def conditional_law(coupling: Any) -> tuple[float, float, float]:
    """Slope, shift and width of the trained student's sample given the draft."""
    online, student, path = Tracked(), Affine(), LinearPath(T0)
    by = {"online": Player(online, 2e-2), "student": Player(student, 2e-2)}
    objective = FlowGeneratorMatching(
        Warm(), NetworkField(online, path, "velocity", ("draft",)), NetworkField(student, path, "x1", ("draft",)),
        Blurred(StandardNormal((1,)), SIGMA), coupling, by, 0.5, 2, errors="velocity",
    )  # fmt: skip
    trained = train(objective, Batch(torch.zeros(512, 1)), steps=3000, batch=512, seed=0, warmup=20)
    g = trained.networks["student"].requires_grad_(False)
    return float(g.p + g.q), float(g.r), abs(float(g.p)) * SIGMA


@pytest.mark.long
def test_a_student_of_a_warm_flow_has_its_law_given_the_draft() -> None:
    slope, shift, width = conditional_law(Independent())
    assert abs(slope - RHO) < 1e-2 and abs(shift) < 1e-2 and abs(width - WIDTH) < 1e-2
    _, _, biased = conditional_law(Unpaired())
    assert abs(biased - WIDTH) > 3e-2, "a fresh start around another draft must bias the student"


# ---------------------------------------------------------------- turns, gradients, what is frozen


def networks() -> tuple[Any, ...]:
    return tuple(seeded(k, lambda: MLP((2,), sees={"draft": (2,)}, width=16, depth=1)) for k in range(3))


def objective(coupling: Any = None, **more: Any) -> FlowGeneratorMatching:
    u, v, g = (NetworkField(n, LinearPath(T0), "x1", ("draft",)) for n in networks())
    for field in (u, v, g):
        nn.init.normal_(field.network.out.weight, std=0.3)
    by = {"online": Player(v.network), "student": Player(g.network)}
    source = Blurred(StandardNormal((2,)), SIGMA)
    return FlowGeneratorMatching(u, v, g, source, coupling or Independent(), by, **more)


def test_each_turn_moves_one_network_and_the_teacher_none() -> None:
    this = objective(online_updates=2)
    assert [this.turn(k) for k in range(6)] == ["online", "online", "student"] * 2
    data = Batch(torch.zeros(64, 2))
    assert isinstance(this.teacher, NetworkField)
    nets = {"teacher": this.teacher.network, "online": this.online.network, "student": this.student.network}
    before = {name: [p.clone() for p in n.parameters()] for name, n in nets.items()}
    for turn in ("online", "student"):
        noise = Noise.of(1, 64)
        for n in nets.values():
            n.zero_grad()
        for name in ("online", "student"):
            nets[name].requires_grad_(name == turn)
        loss, _ = this.loss(turn, this.pair(data, noise=noise), noise=noise)
        loss.backward()
        for name, n in nets.items():
            touched = any(p.grad is not None and bool((p.grad != 0).any()) for p in n.parameters())
            assert touched == (name == turn), (turn, name)
    for name in ("online", "student"):
        nets[name].requires_grad_(True)
        nets[name].zero_grad()
    noise = Noise.of(2, 64)
    this.loss("online", this.pair(data, noise=noise), noise=noise)[0].backward()
    assert all(p.grad is None for p in nets["student"].parameters()), "the online flow's turn reaches the student"
    train(this, data, steps=3, batch=64, seed=0)
    moved = {n: any(not torch.equal(a, b) for a, b in zip(before[n], nets[n].parameters(), strict=True)) for n in nets}
    assert moved == {"teacher": False, "online": True, "student": True}


def test_the_path_starts_afresh_around_the_same_draft() -> None:
    n = 20_000
    this, noise = objective(), Noise.of(3, n)
    pair = this.pair(Batch(torch.zeros(n, 2)), noise=noise)
    point = this._point(this.generated(pair.start).detach(), pair.start, noise)
    fresh = point.pair.start
    assert torch.equal(fresh.condition["draft"], pair.start.condition["draft"])
    a, b = fresh.x0 - fresh.condition["draft"], pair.start.x0 - pair.start.condition["draft"]
    for eps in (a, b):
        assert float(eps.std()) == pytest.approx(SIGMA, rel=0.03)
    assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 4 / math.sqrt(2 * n)


def test_paired_data_give_their_drafts_and_real_rows_their_data() -> None:
    n = 4000
    drafts, x1 = Noise.of(5, n).normal("d", 2), Noise.of(6, n).normal("x", 2)
    this, noise = objective(real=1.0), Noise.of(7, n)
    pair = this.pair(Batch(x1, {}, None, Start(drafts)), noise=noise)
    assert torch.equal(pair.start.condition["draft"], drafts) and torch.equal(pair.x1, x1)
    with_data, _ = this.loss("online", pair, noise=noise)
    without, _ = replace(this, real=0.0).loss("online", pair, noise=noise)
    point = this._point(x1, pair.start, noise)
    v = this.online(point.x_t, point.t, point.pair.start).x1
    assert v is not None
    assert torch.allclose(with_data, (v - x1).square().mean()) and not torch.allclose(with_data, without)


def test_assigned_starts_are_assigned_to_the_students_samples() -> None:
    """Where the teacher was trained on assigned pairs, so is the path: the pairs' cost is the least of all permutations."""
    path, nets = LinearPath(0.0), [seeded(k, lambda: MLP((2,), width=16, depth=1)) for k in range(3)]
    u, v, g = (NetworkField(n, path) for n in nets)
    by = {"online": Player(v.network), "student": Player(g.network)}
    this = FlowGeneratorMatching(u, v, g, StandardNormal((2,)), Assignment(), by)
    noise = Noise.of(0, 128)
    x1 = 2 * Noise.of(9, 128).normal("x", 2)
    point = this._point(x1, Start(torch.zeros(128, 2)), noise)
    assert torch.equal(point.pair.x1, x1)
    cost = (point.pair.start.x0 - x1).square().sum()
    plain = replace(this, coupling=Independent())._point(x1, Start(torch.zeros(128, 2)), noise).pair.start.x0
    assert float(cost) < 0.5 * float((plain - x1).square().sum())


def test_times_and_errors() -> None:
    n = 20_000
    noise = Noise.of(2, n)
    uniform, logit = (objective(times=t)._share(noise) for t in ("uniform", "logit_normal"))
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01) and float(uniform.var()) == pytest.approx(
        1 / 12, rel=0.05
    )
    assert float((logit.log() - (1 - logit).log()).std()) == pytest.approx(1, rel=0.03)
    this = objective(times=0.5, errors="velocity")
    pair = this.pair(Batch(torch.zeros(n, 2)), noise=noise)
    ends = replace(this, errors="x1").terms(pair, noise=noise)
    share = (1 - T0) * 0.5  # 1 - t
    assert torch.allclose(ends, this.terms(pair, noise=noise) * share**2, atol=1e-4)


def test_one_call_of_the_student_is_one_step_of_its_sampler() -> None:
    this = objective()
    noise = Noise.of(4, 9)
    start = this.source.draw(9, noise=noise)
    drawn = Sampler(this.source, this.student, Euler(), 1)(start=start)
    assert torch.allclose(drawn.x, this.generated(start).detach(), atol=1e-5) and drawn.calls.tolist() == [1] * 9


def test_bad_parts_are_named() -> None:
    this = objective()
    assert isinstance(this.teacher, NetworkField)
    other = seeded(7, lambda: MLP((2,), sees={"draft": (2,)}, width=16, depth=1))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"alpha": -1.0}, "alpha is -1"),
        ({"online_updates": 0}, "online_updates is 0"),
        ({"real": 1.5}, "real is 1.5"),
        ({"times": "often"}, "times is 'often'"),
        ({"errors": "pixels"}, "errors is 'pixels'"),
        ({"teacher": replace(this.teacher, path=LinearPath(0.0))}, "the teacher's is LinearPath from t0 = 0"),
        ({"teacher": replace(this.teacher, predicts="velocity")}, "predicts 'x1', the teacher 'velocity'"),
        ({"teacher": replace(this.teacher, sees=())}, r"sees \('draft',\), the teacher \(\)"),
        ({"teacher": this.student}, "trained too; give the online flow and the student copies"),
        ({"by": {**this.by, "online": Player(other)}}, "the player 'online' holds another network"),
    ]
    for changes, says in cases:
        with pytest.raises(ValueError, match=says):
            replace(this, **changes)


# labels and inputs


class Chosen(nn.Module):
    """One of several networks, by the label."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        each = torch.stack([network(x, t) for network in self.networks])
        return each[label, torch.arange(len(x))]


def conditional(networks: dict[str, list[nn.Module]], sees: bool, coupling: Any) -> FlowGeneratorMatching:
    """The objective with a network for each label, or without labels with one."""
    fields = {}
    for name, found in networks.items():
        network = Chosen(found) if sees else found[0]
        fields[name] = NetworkField(network, LinearPath(0.0), "x1", ("label",) if sees else ())
    noise: Source = StandardNormal((2,))
    source = Labelled(noise, torch.tensor([0.5, 0.5])) if sees else noise
    by = {name: Player(fields[name].network) for name in ("online", "student")}
    return FlowGeneratorMatching(fields["teacher"], fields["online"], fields["student"], source, coupling, by, 0.5)


@pytest.mark.parametrize("assigned", [False, True])
def test_given_labels_the_loss_is_that_of_each_label_alone(assigned: bool) -> None:
    """Rows of one label are distilled as by an objective of this label's networks; starts are assigned within the label."""
    made = {
        name: [seeded(10 * k + i, lambda: MLP((2,), width=16, depth=1)) for i in range(2)]
        for k, name in enumerate(("teacher", "online", "student"))
    }
    for network in (network for found in made.values() for network in found):
        for weight in network.parameters():
            weight.data.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    n = 12
    label = torch.arange(n) % 2
    both = conditional(made, True, Assignment("label") if assigned else Independent())
    pair = both.pair(Batch(torch.zeros(n, 2), {"label": label}), noise=Noise.of(0, n))
    assert torch.equal(pair.start.condition["label"], label)
    terms = both.terms(pair, noise=Noise.of(1, n))
    for k in (0, 1):
        rows = (label == k).nonzero()[:, 0]
        one = conditional(
            {name: [found[k]] for name, found in made.items()}, False, Assignment() if assigned else Independent()
        )
        alone = one.terms(Pair(Start(pair.start.x0[rows]), torch.zeros(len(rows), 2)), noise=Noise.of(1, n)[rows])
        assert torch.allclose(terms[rows], alone, atol=1e-5)
    drawn = both.pair(Batch(torch.zeros(4000, 2)), noise=Noise.of(2, 4000)).start.condition["label"]
    assert float(drawn.double().mean()) == pytest.approx(0.5, abs=0.03), "labels are drawn by the source"
