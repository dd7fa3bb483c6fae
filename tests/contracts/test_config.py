"""config, then rebuild, is the identity: through json.dumps and safetensors; strangers and callables are refused by name."""

import json
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load as read
from safetensors.torch import save as write

from examples import BASES, EXAMPLES, OWN, X, batch_of, cases, example, mlp, normal, own_draft, own_velocity, start_of
from warmflow.checkpoints import config, load, load_part, rebuild, save_part
from warmflow.contracts import Coupling, Field, Path, Solver, Source, Start
from warmflow.fields import NetworkField, wrap
from warmflow.files import read_tensors, write_json, write_tensors
from warmflow.networks import Auxiliary, DCDiscriminator, DCGenerator, DiT, LowPass, Network, UNet
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Clip, Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, External, StandardNormal

PARTS = cases(Source, Coupling, Path, Field, Solver, Network)


def through_the_disk(part):
    """JSON and tensors after a journey as text and bytes."""
    described, tensors = config(part)
    return json.loads(json.dumps(described, allow_nan=False)), read(write(tensors))


def behaviour(part):
    """What a part does, as tensors."""
    n = 12
    start, t = start_of(n), torch.full((n,), 0.9, dtype=torch.float64)
    if isinstance(part, Source):
        drawn = part.draw(n, noise=Noise.of(1, n))
        return [drawn.x0, *drawn.condition.values()]
    if isinstance(part, Field):
        estimate = part(start.x0, t, start)
        return [estimate.velocity, estimate.x1]
    if isinstance(part, Auxiliary):
        return [*part.encode(start.x0), *part.decode(start.x0[:, [0, 1, 0]])]
    if isinstance(part, LowPass):
        return [*part.encode(normal("l", n, 2, 4, 6)), *part.decode(normal("z", n, 12))]
    if isinstance(part, DCGenerator):
        return [part(normal("z", n, part.latent))]
    if isinstance(part, DCDiscriminator):
        return [part(normal("x", n, *part.arguments["shape"]))]
    if isinstance(part, UNet | DiT):
        size = part.arguments["shape"]
        seen = {"draft": normal("u", n, 1, *size[1:]), "z": normal("z", n, 2)}
        more = {k: seen[k] for k in (*part.names, *part.modulators)}
        label = start.condition["label"] if part.arguments.get("classes") else None
        return [part(normal("x", n, *size), t.float(), label, **more)]
    if isinstance(part, Network):
        more = {"draft": start.condition["draft"]} if part.names or part.modulators else {}
        label = start.condition["label"] if part.arguments.get("classes") else None
        return [part(start.x0, t.float(), label, **more)]
    if isinstance(part, Solver):
        state = part.begin(start, torch.full((n,), 0.4, dtype=torch.float64), noise=Noise.of(0, n))
        return [part.step(example(NetworkField), state, t, noise=Noise.of(0, n)).x]
    if isinstance(part, Path):
        return [part.begin(start)]
    return []


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("kind", "k"), PARTS)
def test_config_then_rebuild_is_the_identity(kind, k):
    part = example(kind, k)
    described, tensors = through_the_disk(part)
    again = rebuild(described, tensors, **OWN)
    assert type(again) is kind
    assert same(behaviour(again), behaviour(part)), "the rebuilt part behaves otherwise"
    redescribed, retensors = config(again)
    assert json.loads(json.dumps(redescribed)) == described
    assert retensors.keys() == tensors.keys() and all(torch.equal(retensors[k], tensors[k]) for k in tensors)


@pytest.mark.parametrize(("kind", "k"), PARTS)
def test_saved_then_loaded_from_a_folder_is_the_identity(kind, k, tmp_path):
    part = example(kind, k)
    write_json(tmp_path / "config.json", {"warmflow": __import__("warmflow").__version__})
    save_part(tmp_path, "model", part)
    again = load_part(tmp_path, "model", **OWN)
    assert type(again) is kind and same(behaviour(again), behaviour(part))
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}, "no pickle in a run folder"


def test_hooks_and_nested_parts_survive():
    sampler = Sampler(Blurred(StandardNormal((2,)), 0.5), example(NetworkField), Euler(), 3, (Clip(-0.1, 0.1),))
    sampler = replace(sampler, field=wrap(own_velocity))
    again = rebuild(*through_the_disk(sampler), network=own_velocity)
    assert again.hooks == (Clip(-0.1, 0.1),) and float(again(9).x.abs().max()) <= 0.1 + 1e-6
    assert torch.equal(again(9).x, sampler(9).x)


def test_a_users_callable_must_be_passed_again_by_name():
    described, tensors = through_the_disk(Blurred(External.of(own_draft, (2,)), 0.3))
    with pytest.raises(ValueError, match=r"draft of your own: pass it again, draft="):
        rebuild(described, tensors)
    described, tensors = through_the_disk(wrap(own_velocity))
    with pytest.raises(ValueError, match=r"pass it again, network="):
        rebuild(described, tensors)
    assert rebuild(described, tensors, network=own_velocity).network is own_velocity


def test_a_users_module_is_passed_again_and_gets_its_weights_back():
    class Theirs(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(value))

        def forward(self, x, t):
            return self.scale * x

    described, tensors = through_the_disk(wrap(Theirs(3.0)))
    again = rebuild(described, tensors, network=Theirs(0.0))
    assert again.network.scale.item() == 3.0


def test_a_users_hook_can_be_passed_again():
    def double(state):
        return replace(state, x=2 * state.x)

    sampler = Sampler(StandardNormal((2,)), example(NetworkField), Euler(), 2, (double,))
    described, tensors = through_the_disk(replace(sampler, field=wrap(own_velocity)))
    with pytest.raises(ValueError) as error:
        rebuild(described, tensors, network=own_velocity)
    name = str(error.value).rsplit("pass it again, ", 1)[1].split("=")[0]
    assert name.isidentifier(), f"{name!r} is no keyword that a user could type"
    assert rebuild(described, tensors, network=own_velocity, **{name: double}).hooks == (double,)


@dataclass(frozen=True, eq=False)
class Foreign(Source):
    """A user's own class."""

    shape: tuple = (2,)
    takes: frozenset = frozenset()

    def draw(self, n, condition=None, *, noise):
        return Start(noise.normal("foreign", *self.shape), dict(condition or {}))


def test_a_class_from_elsewhere_is_refused_unless_it_is_allowed():
    described, tensors = through_the_disk(Blurred(Foreign(), 0.3))
    with pytest.raises(ValueError, match=r"Foreign.*allow=\[Foreign\]"):
        rebuild(described, tensors)
    again = rebuild(described, tensors, [Foreign])
    assert same(behaviour(again), behaviour(Blurred(Foreign(), 0.3)))


@pytest.mark.parametrize(
    "name",
    ["os:system", "builtins:eval", "subprocess:Popen", "warmflow.checkpoints:os", "warmflow.noise:Noise",
     "warmflow.contracts:Source", "warmflow.training:train", "warmflow.nowhere:Thing", "warmflow.sources:Nothing",
     "warmflowers:Evil", "torch:load"],
)  # fmt: skip
def test_only_final_parts_of_ours_can_be_named(name):
    with pytest.raises(ValueError, match=r"allow=|does not have"):
        rebuild({"class": name, "fields": {}}, {})


def test_what_a_folder_cannot_hold_is_refused_when_it_is_written():
    with pytest.raises(ValueError, match="a run folder cannot hold"):
        config(replace(StandardNormal((2,)), shape=[2]))


def test_rebuilding_leaves_the_global_random_state_alone():
    described, tensors = through_the_disk(example(NetworkField))
    before = torch.get_rng_state()
    rebuild(described, tensors)
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_folder_of_another_version_is_refused(tmp_path):
    write_json(tmp_path / "config.json", {"warmflow": "99.1.0"})
    save_part(tmp_path, "model", StandardNormal((2,)))
    with pytest.raises(ValueError, match=r"99\.1\.0"):
        load(tmp_path)


def test_loaded_weights_are_those_saved_for_averaged_and_raw(tmp_path):
    write_json(tmp_path / "config.json", {"warmflow": __import__("warmflow").__version__})
    parts = {
        name: Sampler(StandardNormal((2,)), NetworkField(mlp(seed), LinearPath()), Euler(), 2)
        for name, seed in (("model", 1), ("raw", 2))
    }
    for name, part in parts.items():
        save_part(tmp_path, name, part)
    assert torch.equal(load(tmp_path)(5).x, parts["model"](5).x)
    assert torch.equal(load(tmp_path, raw=True)(5).x, parts["raw"](5).x)
    assert not load(tmp_path).field.network.training


def test_the_table_of_examples_is_not_stale():
    gone = set(EXAMPLES) - {c.values[0] for c in cases(*BASES)}
    assert not gone, f"examples of classes that no contract test finds: {gone}"
    assert len(batch_of()) <= len(X)


def test_tied_weights_are_written_and_read(tmp_path):
    """Two names, one tensor: safetensors refuses shared memory, a language model's output layer often shares it."""
    tied = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    write_tensors(tmp_path / "x.safetensors", tied.state_dict())
    tensors, _ = read_tensors(tmp_path / "x.safetensors")
    assert torch.equal(tensors["0.weight"], tied[0].weight) and torch.equal(tensors["1.weight"], tied[0].weight)
