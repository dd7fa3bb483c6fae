"""Everything that runs on a device runs on one without float64, like Apple's GPUs: a stand-in refuses float64 and mixed devices.

The stand-in computes on the CPU, so a comparison on it must also give the numbers of the CPU."""

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from stand_in import OnMps, apple_gpu
from test_matrix import FITS, TRAINING, candidates, extra, problem, small_methods

import warmflow
from warmflow import RK4, AdamsBashforth3, Clip, Midpoint, wrap
from warmflow.contracts import Start
from warmflow.devices import doubled, moved, place_of_float64
from warmflow.drafts.regression import Regression
from warmflow.experiments.compare import compare
from warmflow.experiments.measure import FLOAT_SOLVERS
from warmflow.experiments.train import train_run
from warmflow.methods.cold import Cold
from warmflow.noise import Noise
from warmflow.sampler import placed


def test_the_stand_in_refuses_what_an_apple_gpu_refuses():
    with apple_gpu():
        x = torch.zeros(3, 2, device="mps")
        assert x.device.type == "mps" and isinstance(x + 1, OnMps) and not isinstance(x.cpu(), OnMps)
        for wrong in (
            lambda: x.double(), lambda: x.to("cpu", torch.float64), lambda: torch.zeros(2, dtype=torch.float64).to("mps"),
            lambda: torch.zeros(2, dtype=torch.float64, device="mps"),
        ):  # fmt: skip
            with pytest.raises(TypeError, match="doesn't support float64"):
                wrong()
        for wrong in (
            lambda: x + torch.ones(3, 2), lambda: torch.where(torch.ones(3, 2) > 0, x, x),
            lambda: torch.zeros(3)[torch.zeros(1, dtype=torch.int64, device="mps")],
        ):  # fmt: skip
            with pytest.raises(RuntimeError):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()


def test_times_and_noise_stay_in_float64_on_the_cpu():
    with apple_gpu():
        start = Start(torch.zeros(4, 2, device="mps"), {}, t=None)
        times = warmflow.LinearPath(0.3).begin(start)
        assert (times.device.type, times.dtype) == ("cpu", torch.float64)
        record = Start(torch.zeros(4, 2), {}, t=torch.zeros(4, dtype=torch.float64)).to("mps")
        assert record.x0.device.type == "mps" and record.t.device.type == "cpu"
        noise = Noise.of(3, 4)
        assert torch.equal(noise.to("mps").normal("a", 2), noise.normal("a", 2))
        assert doubled(start.x0).dtype == torch.float64 and moved(torch.zeros(2), "mps").device.type == "mps"
    assert place_of_float64("cuda:1") == torch.device("cuda:1") and place_of_float64("cpu") == torch.device("cpu")


CASES = [
    (name, method) for name in FITS if name not in ("folder", "points", "digits") for method in (*FITS[name], "cold")
]
FEW = {("moons", "warm-start"), ("text", "warm-start"), ("moons", "learned-prior")}


@pytest.mark.parametrize(
    ("name", "method"),
    [pytest.param(*case, marks=pytest.mark.long if case in FEW else pytest.mark.slow) for case in CASES],
)
def test_a_run_on_it_is_that_of_the_cpu(name, method, tmp_path):
    """Trained there, and sampled with every solver."""
    one = candidates().get(method, Cold())
    if name == "super-resolution" and method == "warm-start":
        one = warmflow.WarmStart(draft=Regression(updates=2), sigma=0.3)
    runs = {}
    for where in ("cpu", "mps"):
        more = {"seed": 0, "device": where, "progress": False, "echo": lambda text: None, **TRAINING, **extra(name)}
        with apple_gpu() if where == "mps" else contextlib.nullcontext():
            train_run(problem(name, tmp_path / "data"), one, tmp_path / where, **more)
            sampler = placed(warmflow.load(tmp_path / where), where)
            solvers = (
                [sampler.solver] if sampler.solver.jumps else [*FLOAT_SOLVERS, RK4(), Midpoint(), AdamsBashforth3()]
            )
            drawn = [replace(sampler, solver=solver)(8, seed=1, steps=3) for solver in solvers]
            assert all(d.x.device.type == where for d in drawn)
            runs[where] = [(d.x.cpu(), d.calls.cpu()) for d in drawn]
    for (x, calls), (y, counted) in zip(runs["cpu"], runs["mps"], strict=True):
        assert torch.equal(calls, counted) and x.dtype == y.dtype
        assert torch.allclose(x.double(), y.double(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_comparison_on_it_has_the_numbers_of_the_cpu(tmp_path):
    """All that ``warmflow compare --device mps`` runs: every solver is tried, every row measured and timed."""
    more = {"seeds": (0, 1), "calls": (1,), "samples": 200, "progress": False, **TRAINING}
    for where in ("cpu", "mps"):
        with apple_gpu() if where == "mps" else contextlib.nullcontext():
            compare(
                problem("moons", tmp_path), [small_methods()["warm-start"]], out=tmp_path / where, device=where, **more
            )
    cpu, mps = (json.loads((tmp_path / where / "verdict.json").read_text()) for where in ("cpu", "mps"))
    assert json.loads((tmp_path / "mps" / "config.json").read_text())["device"] == "mps"
    for one, other in zip(cpu["curves"], mps["curves"], strict=True):
        for a, b in zip(one["points"], other["points"], strict=True):
            assert a["calls"] == b["calls"] and a["metrics"].keys() == b["metrics"].keys()


def test_a_diffusion_model_is_sampled_on_it():
    """Betas, times and coefficients are computed on the CPU; the model sees its own device and dtype."""
    seen = []

    class Still(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, x, k):
            seen.append((x.device.type, x.dtype, k.device.type, k.dtype))
            return self.weight * x

    with apple_gpu():
        for more, dtype in (
            ({"schedule": "vp"}, torch.int64),
            ({"schedule": "edm"}, torch.float32),
            ({}, torch.float32),
        ):
            model = Still().to("mps")
            sampler = warmflow.Sampler(
                warmflow.StandardNormal((2,)), wrap(model, **more), warmflow.Euler(), 3, (Clip(-1, 1),), "mps"
            )
            assert sampler(5, seed=0).x.device.type == "mps"
            assert seen[-1] == ("mps", torch.float32, "mps", dtype)


def test_the_loss_functions_run_on_it():
    model = warmflow.MLP(shape=(2,), width=8, depth=1, sees={"draft": (2,)})
    with apple_gpu():
        model.to("mps")
        x, draft = torch.randn(8, 2).to("mps"), torch.randn(8, 2).to("mps")
        warmflow.functional.warm_start_loss(model, (draft, x)).backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        t, x_t, velocity = warmflow.functional.path_points(draft, x)
        assert {v.device.type for v in (t, x_t, velocity)} == {"mps"}
