"""What holds of all classes alike: an example each, abstract or final, frozen, and no global randomness."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from examples import BASES, batch_of, below, concrete, example, examples_of, matching, start_of
from warmflow.contracts import Coupling, Field, Objective, Path, Solver, Source
from warmflow.couplings import Assignment, prepare
from warmflow.networks import seeded
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.setup import Training, float_network
from warmflow.solvers import Heun
from warmflow.sources import Blurred, Gaussian, GaussianMixture
from warmflow.training import train

KINDS = sorted({k for base in BASES for k in concrete(base)}, key=lambda k: k.__qualname__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_has_an_example_of_its_very_class(kind):
    example(kind)
    for build in examples_of(kind):
        assert type(build()) is kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_is_final(kind):
    assert not [k for k in below(kind) if k.__module__.startswith("warmflow")], "a concrete class was subclassed"


@pytest.mark.parametrize(
    "kind",
    [k for k in KINDS if issubclass(k, (Source, Coupling, Path, Field, Solver, Objective))],
    ids=lambda k: k.__name__,
)
def test_is_a_frozen_dataclass(kind):
    part = example(kind)
    assert dataclasses.is_dataclass(part)
    fields = dataclasses.fields(part)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, fields[0].name if fields else "anything", None)


def _states():
    return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()


def _work(folder):
    """Fits, draws, pairs, builds, trains, samples: everything that has randomness."""
    data, noise = batch_of(), Noise.of(5, 30)
    mixture = GaussianMixture.fit(data.x1, components=3)
    source = Blurred(mixture, 0.3)
    out = [mixture.means, source.draw(30, noise=noise).x0, Assignment().pair(data, source, noise=noise).start.x0]
    pairs = prepare(Assignment(), data, Gaussian.fit(data.x1), folder / "pairs", rounds=2, block=7)
    out += [pairs.start.x0]
    objective = matching(LinearPath(0.5), source, Assignment(), "x1", ("draft",))
    (folder / "run").mkdir()
    trained = train(objective, data, steps=3, batch=10, seed=0, folder=folder / "run")
    out += list(trained.networks["flow"].state_dict().values())
    drawn = Sampler(source, objective.field, Heun(), 3)(20, seed=1, batch=6)
    out += [drawn.x, *float_network(Training(width=8, depth=1), (2,), "mlp")((2,), {}, 3).state_dict().values()]
    return out


def test_global_random_states_are_neither_written_nor_read(tmp_path):
    results = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            before = _states()
            results.append(_work(tmp_path / str(seed)))
            assert _states() == before
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_network_built_under_a_seed_leaves_the_global_stream_alone():
    before = _states()
    a, b = (seeded(3, lambda: torch.nn.Linear(4, 4)).weight for _ in range(2))
    assert torch.equal(a, b) and _states() == before
    assert not torch.equal(a, seeded(4, lambda: torch.nn.Linear(4, 4)).weight)


def test_parts_keep_no_result():
    """Evaluating and drawing twice gives the same."""
    for kind in concrete(Source):
        for k in range(len(examples_of(kind))):
            source = example(kind, k)
            a, b = (source.draw(5, noise=Noise.of(0, 5)).x0 for _ in range(2))
            assert torch.equal(a, b)
    for kind in concrete(Field):
        field, start = example(kind), start_of(4)
        t = torch.full((4,), 0.5, dtype=torch.float64)
        assert torch.equal(field(start.x0, t, start).velocity, field(start.x0, t, start).velocity)
