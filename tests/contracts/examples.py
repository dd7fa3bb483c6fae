"""One small example (or a few) of every concrete class below each abstract base.

Classes are found, not listed: a class that is made without arguments is its own example; any other one without an entry here
makes its contract test fail and say so.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from token_examples import TOKEN_EXAMPLES

import warmflow
from warmflow.contracts import Batch, Coupling, Field, FlowPath, Objective, Path, Player, Solver, Source, Start
from warmflow.couplings import (
    Assignment,
    Encoded,
    Given,
    Independent,
    NearestDatum,
    NearestDraft,
    Principal,
    Semidiscrete,
    Walked,
)
from warmflow.data.fresh import FreshToy
from warmflow.fields import ExactGaussian, ExactMixture, Guided, NetworkField, WrappedField, wrap
from warmflow.networks import MLP, Auxiliary, DCDiscriminator, DCGenerator, DiT, LowPass, Network, UNet, seeded
from warmflow.noise import Noise
from warmflow.objectives import Adversarial, FlowGeneratorMatching, FlowMatching, Regression, VarianceGuided
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Midpoint, MultistepX1
from warmflow.sources import (
    Blurred,
    ByLabel,
    Conditioned,
    Decoded,
    DiffusersPipeline,
    External,
    Gaussian,
    GaussianMixture,
    Jittered,
    Labelled,
    LearnedPrior,
    Restored,
    StandardNormal,
)

T0 = (0.0, 0.1, 0.3, 0.7, 0.9)


def normal(name, *shape, dtype=torch.float32):
    """Fixed numbers, the same in every test."""
    return Noise.of(99, shape[0]).normal(name, *shape[1:], dtype=dtype)


def everything():
    """Every module of warmflow, imported, so that ``__subclasses__`` knows all classes."""
    for module in pkgutil.walk_packages(warmflow.__path__, "warmflow."):
        importlib.import_module(module.name)


def below(base):
    found = []
    for kind in base.__subclasses__():
        found += [kind, *below(kind)]
    return found


def concrete(base, tokens=False):
    """The concrete classes of warmflow below a base, by name: those of floats, or those of tokens."""
    everything()
    ours = {k for k in below(base) if k.__module__.split(".")[0] == "warmflow" and not inspect.isabstract(k)}
    return sorted((k for k in ours if (k in TOKEN_EXAMPLES) is tokens), key=lambda k: k.__qualname__)


def own_draft(n, seed):
    """A user's draft model with a randomness of its own."""
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def own_pipeline(batch_size=1, generator=None, num_inference_steps=50, output_type="pil"):
    """A user's image pipeline: grey pictures of 6 x 6 in [0, 1], each from a generator of its own."""
    return SimpleNamespace(images=np.stack([torch.rand(6, 6, 1, generator=g).numpy() for g in generator]))


def own_velocity(x, t):
    """A user's trained model."""
    return 0.5 * x + t[:, None]


def mlp(seed=0, **more):
    """A perceptron whose last layer is not zero."""

    def build():
        network = MLP((2,), width=16, depth=1, **more)
        torch.nn.init.normal_(network.out.weight)
        return network

    return seeded(seed, build)


def auxiliary():
    return seeded(0, lambda: Auxiliary((2,), latent=3, width=16, depth=1))


def dcgan():
    """A generator and a discriminator of an odd, oblong size."""
    shape = (2, 9, 6)
    return seeded(0, lambda: DCGenerator(shape, latent=5, width=4)), seeded(1, lambda: DCDiscriminator(shape, width=4))


def unet(**more):
    """A U-Net of an odd size whose last layer is not zero."""

    def build():
        network = UNet((2, 7, 6), width=4, **more)
        torch.nn.init.normal_(network.out.weight)
        return network

    return seeded(0, build)


def dit(**more):
    """A transformer of an oblong size that moves."""

    def build():
        network = DiT((2, 8, 6), width=8, depth=1, heads=2, **more)
        torch.nn.init.normal_(network.out.weight)
        return network

    return seeded(0, build)


X = normal("fit", 64, 2) @ torch.tensor([[1.0, 0.4], [0.0, 0.7]]) + 0.5
LABEL = torch.arange(64) % 3
EYE = torch.eye(2, dtype=torch.float64)
GAUSSIAN = ExactGaussian(
    torch.zeros(2), EYE, torch.tensor([1.0, -0.5]), torch.tensor([[0.5, 0.1], [0.1, 0.2]]), LinearPath(0.3)
)
MIXTURE = ExactMixture(torch.tensor([0.3, 0.7]), X[:2], X[2:4], 0.5, 0.2, LinearPath(0.2))


EXAMPLES = {
    # sources
    StandardNormal: [lambda: StandardNormal((3,)), lambda: StandardNormal((1, 2, 2))],
    Gaussian: [lambda: Gaussian.fit(X)],
    GaussianMixture: [
        lambda: GaussianMixture.fit(X, components=3),
        lambda: GaussianMixture.fit(X, components=2, dimensions=1),
    ],
    Jittered: [lambda: Jittered(Gaussian.fit(X), 0.3)],
    Blurred: [lambda: Blurred(GaussianMixture.fit(X, components=3), 0.4), lambda: Blurred(StandardNormal((2,)), 0.5)],
    External: [lambda: External.of(X, (2,)), lambda: External.of(own_draft, (2,))],
    FreshToy: [lambda: FreshToy("moons"), lambda: FreshToy("checkerboard")],
    ByLabel: [lambda: ByLabel.of([StandardNormal((2,)), Gaussian.fit(X), GaussianMixture.fit(X, components=2)], LABEL)],
    Labelled: [lambda: Labelled.of(StandardNormal((2,)), LABEL)],
    LearnedPrior: [
        lambda: LearnedPrior(StandardNormal((3,)), auxiliary(), (2,)),
        lambda: LearnedPrior(Labelled.of(StandardNormal((3,)), LABEL), auxiliary(), (2,), 0.5),
    ],
    Sampler: [
        lambda: Sampler(StandardNormal((2,)), GAUSSIAN, Heun(), 5),
        lambda: Sampler(
            Blurred(Gaussian.fit(X), 0.4),
            NetworkField(mlp(sees={"draft": (2,)}), LinearPath(0.6), "x1", ("draft",)),
            Euler(),
            4,
        ),
    ],  # fmt: skip
    Conditioned: [lambda: Conditioned(StandardNormal((2,)), "input", normal("table", 900, 3))],
    Decoded: [
        lambda: Decoded(StandardNormal((3,)), auxiliary(), (2,)),
        lambda: Decoded(StandardNormal((5,)), dcgan()[0], (2, 9, 6)),
    ],
    DiffusersPipeline: [
        lambda: DiffusersPipeline(own_pipeline, (1, 6, 6), 2),
        lambda: DiffusersPipeline(own_pipeline, (3, 4, 4)),
    ],
    Restored: [lambda: Restored(None, normal("table", 900, 2))],
    # couplings
    Independent: [Independent],
    Assignment: [
        Assignment,
        lambda: Assignment(within="label"),
        lambda: Assignment(space=Principal.fit(X, dimensions=1)),
    ],
    NearestDatum: [NearestDatum, lambda: NearestDatum(2), lambda: NearestDatum(1, Principal.fit(X, dimensions=1))],
    NearestDraft: [NearestDraft, lambda: NearestDraft(Principal.fit(X, dimensions=1))],
    Semidiscrete: [
        lambda: Semidiscrete(normal("dual", 64, dtype=torch.float64)),
        lambda: Semidiscrete(normal("dual", 64), torch.full((64,), 1 / 64), 1.5, Principal.fit(X, dimensions=1)),
    ],
    Given: [Given],
    Encoded: [lambda: Encoded(auxiliary())],
    Walked: [lambda: Walked(Sampler(StandardNormal((2,)), GAUSSIAN, Euler(), 1), 3)],
    # paths
    LinearPath: [lambda t0=t0: LinearPath(t0) for t0 in T0],
    # fields
    ExactGaussian: [lambda: GAUSSIAN],
    ExactMixture: [lambda: MIXTURE],
    NetworkField: [
        lambda: NetworkField(mlp(), LinearPath(0.3)),
        lambda: NetworkField(mlp(sees={"draft": (2,)}), LinearPath(0.7), "x1", ("draft",)),
    ],
    Guided: [
        lambda: Guided(NetworkField(mlp(classes=3), LinearPath(0.1), "velocity", ("label",)), 2.5),
        lambda: Guided(NetworkField(mlp(classes=3), LinearPath(0.1), "x1", ("label",)), 2.0, interval=(0.2, 0.6)),
    ],
    WrappedField: [
        lambda: wrap(own_velocity),
        lambda: wrap(own_velocity, "velocity", "descending", scale=1000.0),
        lambda: wrap(own_velocity, "x1"),
        lambda: wrap(own_velocity, "epsilon", "descending"),
        lambda: wrap(own_velocity, schedule="vp", clip_x0=3.0),
        lambda: wrap(own_velocity, "v", schedule="vp", integer_times=False, scale=999.0),
        lambda: wrap(own_velocity, schedule="edm"),
        lambda: wrap(own_velocity, schedule="rectified", integer_times=True),
    ],
    # solvers
    Euler: [Euler],
    Heun: [Heun],
    Midpoint: [Midpoint],
    AdamsBashforth: [AdamsBashforth, lambda: AdamsBashforth(1.0)],
    MultistepX1: [MultistepX1, lambda: MultistepX1(1.5)],
    RK4: [RK4],
    # networks
    MLP: [mlp, lambda: mlp(sees={"draft": (2,)}, classes=3), lambda: mlp(modulated={"draft": (2,)})],
    Auxiliary: [auxiliary],
    DCGenerator: [lambda: dcgan()[0]],
    DCDiscriminator: [lambda: dcgan()[1]],
    LowPass: [lambda: LowPass.fit(normal("low", 20, 2, 4, 6), 2)],
    DiT: [lambda: dit(), lambda: dit(sees={"draft": (1, 8, 6)}, classes=3, modulated={"z": (2,)})],
    UNet: [
        lambda: unet(),
        lambda: unet(multiples=(1, 1), blocks=2, attention=(0, 1)),
        lambda: unet(sees={"draft": (1, 7, 6)}, classes=3, modulated={"z": (2,)}),
    ],
    # objectives
    FlowMatching: [
        lambda: matching(LinearPath(0.0), StandardNormal((2,)), Independent()),
        lambda: matching(LinearPath(0.0), LearnedPrior(StandardNormal((3,)), auxiliary(), (2,)), Encoded(auxiliary())),
        lambda: matching(LinearPath(0.8), Blurred(Gaussian.fit(X), 0.3), Assignment(), "x1", ("draft",)),
    ],
    FlowGeneratorMatching: [lambda: distilling(), lambda: distilling(0.5, 2, times="logit_normal", errors="velocity")],
    Adversarial: [lambda: adversarial(), lambda: adversarial(penalty=0.0, discriminator_updates=2)],
    Regression: [lambda: Regression(network := mlp(), Player(network))],
    VarianceGuided: [lambda: VarianceGuided(network := auxiliary(), Player(network))],
}

OWN = {"draft": own_draft, "network": own_velocity, "pipeline": own_pipeline}
"""What a user passes again when an example of theirs is rebuilt."""


def matching(path, source, coupling, predicts="velocity", sees=()):
    network = mlp(sees=dict.fromkeys(sees, (2,)))
    return FlowMatching(NetworkField(network, path, predicts, sees), source, coupling, Player(network))


def distilling(*numbers, **more):
    teacher, online, student = (NetworkField(mlp(k), LinearPath(0.0), "x1") for k in range(3))
    by = {"online": Player(online.network), "student": Player(student.network)}
    return FlowGeneratorMatching(teacher, online, student, StandardNormal((2,)), Independent(), by, *numbers, **more)


def adversarial(**more):
    """Two perceptrons in the plane against each other."""
    sizes = ((3, 2), (2, 1))
    generator, discriminator = (
        seeded(k, lambda a=a, b=b: torch.nn.Sequential(torch.nn.Linear(a, 8), torch.nn.SiLU(), torch.nn.Linear(8, b)))
        for k, (a, b) in enumerate(sizes)
    )
    discriminator.append(torch.nn.Flatten(0))
    by = {"generator": Player(generator), "discriminator": Player(discriminator)}
    return Adversarial(generator, discriminator, StandardNormal((3,)), by, **more)


def cases(*bases):
    """(class, number) of every example of every class below the bases; a class without one still has its case."""
    return [
        pytest.param(kind, k, id=f"{kind.__name__}-{k}")
        for base in bases
        for kind in concrete(base)
        for k in range(max(1, len(EXAMPLES.get(kind, ()))))
    ]


def examples_of(kind):
    """The examples of a class, as functions that make them; its defaults where it has no entry."""
    if kind not in EXAMPLES and not (dataclasses.is_dataclass(kind) and not required(kind)):
        pytest.fail(f"{kind.__module__}.{kind.__qualname__} has no example: add one to tests/contracts/examples.py")
    return EXAMPLES.get(kind, [kind])


def required(kind):
    """The fields of a dataclass that have no default."""
    missing = dataclasses.MISSING
    return [
        f.name for f in dataclasses.fields(kind) if f.init and f.default is missing and f.default_factory is missing
    ]


def example(kind, k=0):
    return examples_of(kind)[k]()


def start_of(n, dtype=torch.float32, **more):
    """A start with every condition that the examples' fields see."""
    condition = {"draft": normal("draft", n, 2, dtype=dtype), "label": torch.arange(n) % 3}
    return Start(normal("x0", n, 2, dtype=dtype), condition, **more)


def batch_of(n=30):
    return Batch(X[:n], {"label": LABEL[:n], "tag": torch.arange(n), "input": -X[:n]}, torch.arange(n))


BASES = (Source, Coupling, Path, FlowPath, Field, Solver, Objective, Network)
