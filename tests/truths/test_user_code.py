"""The user's models, drafts, generators, extractors and metrics: called in evaluation mode, in the dtype of their weights, and
tried before anything is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import warmflow
from warmflow import OwnModel, WarmStart, wrap
from warmflow.experiments import run as runs
from warmflow.experiments.train import dry_run, train_run
from warmflow.functional import flow_matching_loss, flow_sampler, sample
from warmflow.metrics.energy import EnergyDistance
from warmflow.metrics.mmd import mmd_for
from warmflow.noise import Noise
from warmflow.sampler import Sampler, trajectory
from warmflow.solvers import Euler
from warmflow.sources import Decoded, DiffusersPipeline, External, Restored, StandardNormal
from warmflow.user_code import as_weights, evaluating, modules_of, naming, weights_of

SMALL = {"updates": 3, "samples": 400, "width": 16, "depth": 1, "batch": 64}
FEW = WarmStart(rounds=1, block=400)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


class Cold(nn.Module):
    """A model of points that shows whether it is in evaluation mode, with a part that the user has frozen there."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(3, 16)
        self.norm = nn.BatchNorm1d(16)
        self.frozen = nn.Sequential(nn.BatchNorm1d(16), nn.Dropout(0.5))
        self.out = nn.Sequential(nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 2))
        self.calls = 0
        self.train()
        self.frozen.eval()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        made: Tensor = self.out(self.frozen(self.norm(self.into(torch.cat([x, t[:, None]], 1)))))
        return made


def state_of(*modules: nn.Module) -> list[Any]:
    """Modes of all submodules and bytes of all tensors."""
    return [
        ([m.training for m in module.modules()], {k: v.clone() for k, v in module.state_dict().items()})
        for module in modules
    ]


def same(before: list[Any], after: list[Any]) -> bool:
    return all(
        modes == modes2
        and tensors.keys() == tensors2.keys()
        and all(torch.equal(tensors[k], tensors2[k]) for k in tensors)
        for (modes, tensors), (modes2, tensors2) in zip(before, after, strict=True)
    )


def data(n: int = 400) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(3))


def forms(model: nn.Module) -> dict[str, Callable[..., object]]:
    return {
        "module": model,
        "function": lambda x, t: model(x, t),
        "method": model.forward,
        "partial": functools.partial(model),
        "holder": Holder(model),
    }


class Holder:
    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, x: Tensor, t: Tensor) -> object:
        return self.model(x, t)


# ---------------------------------------------------------------- evaluation mode


@pytest.mark.parametrize("form", ["module", "function", "method", "partial", "holder"])
def test_a_wrapped_model_is_sampled_in_evaluation_mode_and_left_as_it_was(form: str) -> None:
    model = seeded(Cold)
    before = state_of(model)
    walk = Sampler(StandardNormal((2,)), wrap(forms(model)[form]), Euler(), 4)
    once, again = walk(50, seed=0).x, walk(50, seed=0).x
    path = trajectory(walk, walk.source.draw(50, noise=Noise.of(0, 50)))
    assert same(before, state_of(model)) and model.norm.training and not model.frozen[1].training
    assert torch.equal(once, again) and path.shape == (5, 50, 2)
    assert torch.equal(once, Sampler(StandardNormal((2,)), wrap(model.eval()), Euler(), 4)(50, seed=0).x)


def test_between_the_steps_of_a_walk_the_user_has_his_own_mode() -> None:
    model = seeded(Cold)
    walk = Sampler(StandardNormal((2,)), wrap(model), Euler(), 3)
    start = walk.source.draw(5, noise=Noise.of(0, 5))
    assert [model.training for _ in walk.walk(start, noise=Noise.of(0, 5))] == [True] * 4


def test_modes_are_restored_after_an_error() -> None:
    model = seeded(Cold)
    before = state_of(model)
    model.out[2].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Sampler(StandardNormal((2,)), wrap(model), Euler(), 4)(5)
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert same(before, state_of(model))


def test_hooks_are_in_evaluation_mode() -> None:
    dropout = nn.Dropout(0.5)
    model = seeded(Cold)
    walk = Sampler(
        StandardNormal((2,)), wrap(model), Euler(), 2, (lambda state: (dropout(state.x), state)[1], seen := Mode())
    )
    walk(5)
    assert seen.modes == [False, False] and seen.training and dropout.training


class Mode(nn.Module):
    """Notes the mode in which it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.modes: list[bool] = []

    def forward(self, x: Any, *_: object, **__: object) -> Any:
        self.modes.append(self.training)
        return x


def test_the_functions_sample_in_evaluation_mode_and_train_in_the_users() -> None:
    model = seeded(Cold)
    before = state_of(model)
    drafts = data(20)
    assert torch.equal(sample(model, drafts, seen=False), sample(model, drafts, seen=False))
    walk = flow_sampler(model, shape=(2,))
    assert torch.equal(walk(20, seed=1).x, walk(20, seed=1).x) and same(before, state_of(model))
    flow_matching_loss(model, (data(64), data(64) + 1)).backward()
    after = state_of(model)
    assert before[0][0] == after[0][0], "the modes are the user's"
    assert not torch.equal(before[0][1]["norm.running_mean"], after[0][1]["norm.running_mean"]), (
        "training moves BatchNorm"
    )
    assert torch.equal(before[0][1]["frozen.0.running_mean"], after[0][1]["frozen.0.running_mean"])


class Drafts(nn.Module):
    """A draft model as a module: draft(n, seed)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))

    def forward(self, n: int, seed: int, **_: object) -> Tensor:
        made: Tensor = self.net(torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)))
        return made


@pytest.mark.parametrize("form", ["module", "function", "method"])
def test_draft_models_are_in_evaluation_mode(form: str) -> None:
    model = seeded(Drafts)
    draft = {"module": model, "function": lambda n, seed: model(n, seed), "method": model.forward}[form]
    before = state_of(model)
    source = External.of(draft, (2,))
    once, again = (source.draw(20, noise=Noise.of(0, 20)).x0 for _ in range(2))
    assert torch.equal(once, again) and same(before, state_of(model))
    asked = warmflow.drafts.own.Own(samples=draft)
    assert asked.asked() == asked.asked() and same(before, state_of(model))


def test_networks_of_sources_are_in_evaluation_mode() -> None:
    class Decoder(nn.Sequential):
        latent = 2

    model = seeded(lambda: Decoder(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)))
    before, noise = state_of(model), Noise.of(0, 20)
    for source in (
        Decoded(StandardNormal((2,)), model, (2,)),
        Restored(lambda x, t: model(x), data(20)),
    ):
        assert torch.equal(source.draw(20, noise=noise).x0, source.draw(20, noise=noise).x0)
        assert same(before, state_of(model))


class Pipeline:
    """An unconditional pipeline in the manner of diffusers; its network was just trained."""

    def __init__(self) -> None:
        self.unet = seeded(lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Dropout(0.5)))

    def __call__(
        self, batch_size: int = 1, generator: Any = None, num_inference_steps: int = 50, output_type: str = "pil"
    ) -> Any:
        x = torch.stack([torch.rand(1, 6, 6, generator=g) for g in generator])
        return SimpleNamespace(images=self.unet(x).sigmoid().permute(0, 2, 3, 1).numpy())


def test_a_pipeline_is_in_evaluation_mode() -> None:
    pipeline = Pipeline()
    before, noise = state_of(pipeline.unet), Noise.of(0, 4)
    source = DiffusersPipeline.of(pipeline, (1, 6, 6), 2)
    assert torch.equal(source.draw(4, noise=noise).x0, source.draw(4, noise=noise).x0)
    assert same(before, state_of(pipeline.unet))


class Features(nn.Module):
    """An extractor as a module in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).double()

    def features(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


def test_extractors_are_in_evaluation_mode_and_given_their_dtype() -> None:
    extractor = seeded(Features)
    before = state_of(extractor)
    metric = mmd_for(data(), extractor, "mine")
    energy = EnergyDistance(extractor=extractor)
    for one in (metric, energy):
        assert torch.equal(one.features(data(50)), one.features(data(50)))
    assert same(before, state_of(extractor)) and not metric.features(data(50)).requires_grad


def test_a_failing_extractor_is_named() -> None:
    extractor = SimpleNamespace(name="mine", features=lambda x: x @ torch.ones(3, 3))
    with pytest.raises(ValueError, match=r"the extractor mine failed on \(400, 2\): RuntimeError"):
        mmd_for(data(), extractor, "mine")
    with pytest.raises(ValueError, match=r"the extractor mine gives \(3, 2\) for 400 samples"):
        mmd_for(data(), SimpleNamespace(name="mine", features=lambda x: x[:3]), "mine")


def test_generators_of_an_evaluation_are_in_evaluation_mode() -> None:
    class Generator(Drafts):
        def forward(self, n: int, seed: int = 0, **_: object) -> Tensor:
            return super().forward(n, seed)

    models, extractor = [seeded(Generator) for _ in range(2)], seeded(Features)
    models[1].net[0].bias.data += 1
    before = state_of(*models, extractor)
    metric = mmd_for(data(), extractor, "mine")
    found = [
        warmflow.evaluate(
            data(900), baseline={"a": models[0]}, candidates={"b": lambda n, steps, seed: models[1](n, seed)},
            metrics=[metric], samples=200,
        )
        for _ in range(2)
    ]  # fmt: skip
    distances = [[row.measure.distance["mine"] for row in one.study.rows] for one in found]
    assert distances[0] == distances[1] and same(before, state_of(*models, extractor))


class Own(EnergyDistance):
    """A metric of the user's own class, with a network."""

    net: nn.Module

    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = self.net(x.double())
        return found


def test_metrics_are_in_evaluation_mode() -> None:
    walk = Sampler(StandardNormal((2,)), wrap(lambda x, t: x), Euler(), 4)
    other = Sampler(StandardNormal((2,)), wrap(lambda x, t: x / 2), Euler(), 4)
    metric = Own()
    object.__setattr__(metric, "net", seeded(Features).net)
    before = state_of(metric.net)
    found = [
        warmflow.evaluate(data(900), baseline={"a": walk}, candidates={"b": other}, metrics=[metric], samples=200)
        for _ in range(2)
    ]
    rows = [[row.measure.distance for row in one.study.rows] for one in found]
    assert rows[0] == rows[1] and same(before, state_of(metric.net))


def test_a_failing_generator_or_metric_is_named() -> None:
    def wrong(n: int, steps: int, seed: int) -> Tensor:
        raise KeyError("weights")

    good = Sampler(StandardNormal((2,)), wrap(lambda x, t: x), Euler(), 4)
    with pytest.raises(ValueError, match=r"^b failed when it was called as generator\(.*KeyError: 'weights'$"):
        warmflow.evaluate(data(900), baseline={"a": good}, candidates={"b": wrong}, samples=200)
    bad = mmd_for(data(), None, "mine")
    object.__setattr__(bad, "extractor", SimpleNamespace(features=lambda x: x.nothing))
    with pytest.raises(ValueError, match="SimpleNamespace failed on .*AttributeError"):
        warmflow.evaluate(data(900), baseline={"a": good}, candidates={"b": good}, metrics=[bad], samples=200)


# ---------------------------------------------------------------- dtype and device


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_model_is_called_in_the_dtype_of_its_weights(dtype: torch.dtype) -> None:
    model = seeded(Cold).to(dtype)
    made = Sampler(StandardNormal((2,)), wrap(model), Euler(), 4)(20).x
    assert made.dtype == torch.float32 and bool(torch.isfinite(made).all())
    near = Sampler(StandardNormal((2,)), wrap(seeded(Cold)), Euler(), 4)(20).x
    torch.testing.assert_close(made, near, atol=1e-5 if dtype == torch.float64 else 0.05, rtol=0)
    assert sample(model, data(20), seen=False).dtype == torch.float32
    loss = flow_matching_loss(model, (data(64), data(64)))
    loss.backward()
    assert loss.dtype == torch.float32 and model.into.weight.grad.dtype == dtype


def test_conditions_are_cast_and_labels_are_not() -> None:
    class Seeing(Mode):
        def forward(self, x: Tensor, t: Tensor, draft: Tensor, label: Tensor) -> Tensor:
            self.kinds = [x.dtype, t.dtype, draft.dtype, label.dtype]
            return x

    model = Seeing().double()
    sample(model, data(4), condition={"label": torch.arange(4)})
    assert model.kinds == [torch.float64, torch.float64, torch.float64, torch.int64]


def test_weights_kept_in_eight_bits_do_not_decide_the_dtype() -> None:
    model = Mode()
    model.weight = nn.Parameter(torch.zeros(1).to(torch.float8_e4m3fn), requires_grad=False)
    model.scale = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    Sampler(StandardNormal((2,)), wrap(model), Euler(), 1)(4)
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_such_models_are_compared(dtype: torch.dtype, tmp_path: Path) -> None:
    model = seeded(Cold).to(dtype)
    before = state_of(model)
    report = warmflow.compare(
        data(), [FEW, OwnModel(field=wrap(model))], calls=[1, 2], seeds=[0], out=tmp_path, progress=False, **SMALL
    )
    assert report.verdict and same(before, state_of(model)) and model.calls > 4
    assert all(p.requires_grad and p.dtype == dtype for p in model.parameters())


def test_tensors_follow_the_device_of_the_weights() -> None:
    weights = torch.zeros(1, dtype=torch.float64, device="meta")
    for x, dtype in ((torch.zeros(2), torch.float64), (torch.arange(2), torch.int64)):
        assert (as_weights(x, weights).device.type, as_weights(x, weights).dtype) == ("meta", dtype)
        assert as_weights(x, None) is x
    assert weights_of(Mode().to("meta")) is None and weights_of(lambda x: x) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_such_models_are_distilled(dtype: torch.dtype, tmp_path: Path) -> None:
    model = seeded(Cold).to(dtype)
    before = state_of(model)
    student = warmflow.distill(model, tmp_path / "s", shape=(2,), updates=2, progress=False)
    assert student(5).x.dtype == torch.float32 and same(before, state_of(model))
    assert all(p.requires_grad for p in model.parameters())


# ---------------------------------------------------------------- tried before anything is trained


class Broken(nn.Module):
    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        raise KeyError("label")


BROKEN: list[tuple[Callable[..., object], str]] = [
    (Broken(), r"your cold model fails on noise of shape \(2, 2\): KeyError: 'label'"),
    (nn.Linear(5, 2), "your cold model fails .*TypeError"),
    (lambda x, t: x @ torch.ones(3, 3), "your cold model fails .*RuntimeError"),
    (lambda x, t: int("x"), "your cold model fails .*ValueError: invalid literal"),
    (lambda x, t: x[:, :1], r"returned \(2, 1\), expected a tensor of shape \(2, 2\)"),
    (lambda x, t: None, "returned NoneType"),
    (lambda x, t: x * float("nan"), "gives NaN or infinite values"),
]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The trainings that were begun."""
    begun: list[object] = []
    kept = runs.train
    monkeypatch.setattr(runs, "train", lambda *a, **k: (begun.append(a), kept(*a, **k))[1])
    return begun


@pytest.mark.parametrize(("model", "says"), BROKEN)
def test_a_broken_model_is_named_before_anything_is_trained(
    model: Callable[..., object], says: str, trainings: list[object], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        warmflow.compare(
            data(), [FEW, OwnModel(field=wrap(model))], seeds=[0], out=tmp_path / "c", progress=False, **SMALL
        )
    assert not trainings and "\n" not in str(caught.value) and not (tmp_path / "c").exists()
    if isinstance(model, nn.Module) and list(model.parameters()):
        with pytest.raises(ValueError, match="cannot be distilled: your cold model fails"):
            warmflow.distill(model, tmp_path / "s", shape=(2,), updates=2, progress=False)
        assert not trainings and not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "error", [RuntimeError("two\nlines"), KeyError("x"), ValueError("theirs"), NotImplementedError()]
)
def test_a_broken_draft_is_named_before_anything_is_trained(
    error: Exception, trainings: list[object], tmp_path: Path
) -> None:
    def draft(n: int, seed: int) -> Tensor:
        raise error

    says = rf"the draft failed when it was called as draft\(2, 0\): {type(error).__name__}"
    method = WarmStart(draft=draft, rounds=1, block=400)
    small = {k: v for k, v in SMALL.items() if k != "samples"}
    for call in (
        lambda: warmflow.compare(data(), [method], seeds=[0], out=tmp_path / "c", progress=False, **SMALL),
        lambda: train_run(data(), method, tmp_path / "t", progress=False, **small),
        lambda: dry_run(data(), method, **small),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not trainings and not list(tmp_path.iterdir())


def test_a_broken_pipeline_is_named_before_anything_is_trained(
    trainings: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(Pipeline):
        def __call__(
            self, batch_size: int = 1, generator: Any = None, num_inference_steps: int = 50, output_type: str = "pil"
        ) -> Any:
            raise KeyError("scheduler")

    monkeypatch.setattr("warmflow.sources.pipeline._cached_pipeline", lambda name: Wrong())
    images = torch.rand(300, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with pytest.raises(ValueError, match="the pipeline Wrong failed to draw images: KeyError: 'scheduler'"):
        warmflow.compare(
            images, [WarmStart(draft="diffusers:mine")], seeds=[0], out=tmp_path / "c", progress=False, updates=3,
            samples=200,
        )  # fmt: skip
    assert not trainings and not (tmp_path / "c").exists()


# ---------------------------------------------------------------- the parts


def test_modules_are_found_once_and_only_beside() -> None:
    inner = nn.Linear(2, 2)
    outer = nn.Sequential(inner, nn.Dropout())
    assert len(modules_of(outer, inner, lambda: outer)) == 3
    listed, named = [inner], {"a": inner, "b": outer}
    assert modules_of(lambda: listed) == [inner] and len(modules_of(lambda: named)) == 3
    assert modules_of(None, 3, "x", np.zeros(2), torch.zeros(2), len, print, int) == []

    def early() -> object:
        return late

    assert modules_of(early) == []
    late = inner
    assert modules_of(early) == [late]


def test_modules_are_found_three_steps_away_and_no_further() -> None:
    inner = nn.Linear(2, 2)
    two = SimpleNamespace(a=SimpleNamespace(b=inner))
    three = SimpleNamespace(a=[SimpleNamespace(b={"c": SimpleNamespace(d=inner)})])
    four = SimpleNamespace(a=SimpleNamespace(b=SimpleNamespace(c=SimpleNamespace(d=inner))))
    circle = SimpleNamespace(model=inner)
    circle.me = circle
    for holder in (two, three, circle):
        assert modules_of(holder) == [inner] and modules_of(lambda holder=holder: holder, holder) == [inner]
    assert modules_of(four) == []


def test_a_lack_of_memory_and_our_own_errors_keep_their_words() -> None:
    with pytest.raises(MemoryError), naming("x"):
        raise MemoryError
    with pytest.raises(ValueError, match="^n is 0; ask for at least one sample$"), naming("x"):
        Sampler(StandardNormal((2,)), wrap(lambda x, t: x), Euler(), 4)(0)


def test_a_model_that_is_distilled_in_a_comparison_stays_as_it_was(tmp_path: Path) -> None:
    from warmflow.methods.distillation import Distillation
    from warmflow.methods.reflow import Reflow

    model = seeded(Cold)
    before, own = state_of(model), OwnModel(field=wrap(model))
    warmflow.compare(
        data(), [Distillation(teacher=own, updates=2), Reflow(teacher=own, rows=256, updates=2)], calls=[1], seeds=[0],
        out=tmp_path, progress=False, **SMALL,
    )  # fmt: skip
    assert same(before, state_of(model)) and all(p.requires_grad for p in model.parameters())
