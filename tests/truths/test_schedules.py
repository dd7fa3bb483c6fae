"""Diffusion models as velocity fields: exact predictors under each schedule give the exact velocity, and a trajectory of
diffusers' own samplers is one of the Euler solver."""

import math
import sys
import warnings

import numpy as np
import pytest
import torch

from warmflow import Euler, Sampler, StandardNormal, wrap
from warmflow.contracts import Start
from warmflow.fields import ExactGaussian, ExactMixture
from warmflow.fields.schedules import Betas, Edm, Rectified, VariancePreserving, schedule_of
from warmflow.noise import Noise
from warmflow.paths import LinearPath

D = torch.float64
WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=D)
ENDS = torch.tensor([[-0.8, 0.1], [0.0, 0.7], [0.9, -0.5]], dtype=D)
STD = 0.2
ONE = (torch.ones(1, dtype=D), torch.tensor([[0.4, -0.6]], dtype=D), 0.5)
DATA = {"a Gaussian": ONE, "a mixture": (WEIGHTS, ENDS, STD)}
UNIT = torch.eye(2, dtype=D)
FIELDS = {
    "a Gaussian": ExactGaussian(torch.zeros(2, dtype=D), UNIT, ONE[1][0], 0.25 * UNIT, LinearPath()),
    "a mixture": ExactMixture(WEIGHTS, torch.zeros(1, 2, dtype=D), ENDS, 1.0, STD, LinearPath()),
}  # fmt: skip
LINEAR = torch.linspace(1e-4, 0.02, 1000, dtype=D)
SCALED = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=D) ** 2
BARS = [math.cos((k / 50 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(51)]
COSINE = np.array([min(1 - BARS[k + 1] / BARS[k], 0.999) for k in range(50)])
NO_SIGNAL = torch.cat([LINEAR[:600], torch.ones(1, dtype=D)])


def alphas(betas):
    """a of each level, by a plain loop."""
    found, product = [], 1.0
    for beta in torch.as_tensor(betas).tolist():
        product *= 1 - beta
        found.append(math.sqrt(product))
    return torch.tensor(found, dtype=D)


def exact_x1(z, a, b, data):
    """E[x1 | a x1 + b eps = z] of a mixture of Gaussians, (B, 2)."""
    weights, ends, std = data
    variance = a**2 * std**2 + b**2  # (B, 1)
    square = (z[:, None, :] - a[:, :, None] * ends).square().sum(2)
    posterior = torch.softmax(weights.log() - square / (2 * variance), 1)
    shift = (z[:, None, :] - a[:, :, None] * ends) * (a * std**2 / variance)[:, :, None]
    return (posterior[:, :, None] * (ends + shift)).sum(1)


class Exact:
    """The exact predictor under a schedule: ``levels`` maps the model's time to a and b."""

    def __init__(self, levels, predicts, data):
        self.levels, self.predicts, self.data, self.times = levels, predicts, data, []

    def __call__(self, z, time):
        self.times.append(time)
        a, b = (v.to(D).reshape(-1, 1) for v in self.levels(time))
        x1 = exact_x1(z.to(D), a, b, self.data)
        eps = (z - a * x1) / b
        return {"x1": x1, "epsilon": eps, "v": a * eps - b * x1, "velocity": eps - x1}[self.predicts].to(z.dtype)


def of_betas(betas):
    a = alphas(betas)
    return lambda k: (a[k], (1 - a[k] ** 2).sqrt())


def of_vp(scale):
    def levels(time):
        s = time.double() / scale
        square = torch.exp(-(0.1 * s + 19.9 * s**2 / 2))
        return square.sqrt(), (1 - square).sqrt()

    return levels


CASES = [
    *(("vp", {}, of_betas(LINEAR), LINEAR, p) for p in ("epsilon", "v", "x1")),
    *((SCALED, {}, of_betas(SCALED), SCALED, p) for p in ("epsilon", "v")),
    *((COSINE, {"integer_times": True}, of_betas(COSINE), COSINE, p) for p in ("epsilon", "v", "x1")),
    *((NO_SIGNAL.tolist(), {}, of_betas(NO_SIGNAL), NO_SIGNAL, p) for p in ("v", "x1")),
    ("vp", {"training_steps": 400}, of_betas(torch.linspace(1e-4, 0.02, 400)), torch.linspace(1e-4, 0.02, 400), "epsilon"),
    *(("vp", {"integer_times": False, "scale": 999.0}, of_vp(999), None, p) for p in ("epsilon", "v", "x1")),
    *(("edm", {}, lambda sigma: (torch.ones_like(sigma), sigma), None, p) for p in ("x1", "epsilon")),
    *(("rectified", {"scale": 1000.0}, lambda s: (1 - s / 1000, s / 1000), None, p) for p in ("velocity", "x1", "epsilon")),
    ("rectified", {}, lambda s: (1 - s, s), None, "velocity"),
]  # fmt: skip


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("schedule", "more", "levels", "betas", "predicts"), CASES)
def test_exact_predictors_give_the_exact_velocity(schedule, more, levels, betas, predicts, data):
    """At the model's own levels, and between them for continuous schedules; in float64, to 1e-9 of the largest value."""
    if betas is None:
        t = torch.linspace(0.02, 0.98, 40, dtype=D)
    else:
        a = alphas(betas)[:: max(1, len(betas) // 40)]
        t = a / (a + (1 - a**2).sqrt())
        t = t[t > 1e-3]
    x_t = Noise.of(5, len(t)).normal("x", 2, dtype=D)
    model = Exact(levels, predicts, DATA[data])
    found = wrap(model, predicts, schedule=schedule, **more)(x_t, t, Start(x_t))
    known = FIELDS[data](x_t, t, Start(x_t))
    assert torch.allclose(found.velocity, known.velocity, rtol=1e-8, atol=1e-8)
    assert torch.allclose(found.x1, known.x1, rtol=1e-8, atol=1e-8)
    assert betas is None or model.times[0].dtype == torch.int64


@pytest.mark.parametrize(("schedule", "more", "levels", "betas", "predicts"), CASES)
def test_samples_are_the_data(schedule, more, levels, betas, predicts):
    """From noise in 100 Euler steps: weights, means and spread of the mixture, in float32."""
    field = wrap(Exact(levels, predicts, DATA["a mixture"]), predicts, schedule=schedule, **more)
    x = Sampler(StandardNormal((2,)), field, Euler(), 100)(4000, seed=1).x.double()
    assert bool(torch.isfinite(x).all())
    nearest = torch.cdist(x, ENDS).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / len(x)
    assert torch.allclose(shares, WEIGHTS.float(), atol=0.035)
    residual = (x - ENDS[nearest]) / STD
    assert abs(float(residual.mean())) < 0.05 and abs(float(residual.std()) - 1) < 0.08  # 50 levels are few


def test_the_defaults_are_what_models_of_the_schedule_predict():
    still = torch.zeros_like
    assert [wrap(lambda x, t: still(x), schedule=s).predicts for s in ("vp", LINEAR, "edm", "rectified", None)] == [
        "epsilon", "epsilon", "x1", "velocity", "velocity",
    ]  # fmt: skip
    assert wrap(lambda x, t: still(x), "eps", schedule="vp").predicts == "epsilon"
    assert wrap(lambda x, t: still(x), "x0", schedule="edm").predicts == "x1"
    kinds = [
        type(schedule_of(s, i, None, 1.0)) for s, i in (("vp", None), ("vp", False), ("edm", None), ("rectified", None))
    ]
    assert kinds == [Betas, VariancePreserving, Edm, Rectified]


def test_whole_times_are_whole_and_others_are_between():
    t = torch.linspace(0, 1, 101, dtype=D)
    whole, between = schedule_of("vp", True, None, 1.0).at(t), schedule_of(LINEAR, False, None, 1.0).at(t)
    assert whole.time.dtype == torch.int64 and between.time.dtype == D
    assert (int(whole.time[0]), int(whole.time[-1])) == (999, 0) and bool((whole.time.diff() <= 0).all())
    assert torch.allclose(whole.time.double(), between.time, atol=0.5 + 1e-9)
    assert torch.allclose((whole.a**2 + whole.b**2), torch.ones(101, dtype=D), atol=1e-12)
    rectified = schedule_of("rectified", True, None, 1.0).at(t)
    assert rectified.time.dtype == torch.int64 and rectified.time[:3].tolist() == [999, 990, 980]


def test_a_model_is_called_at_its_own_levels_only():
    t = torch.tensor([0.0, 1e-9, 0.5, 1 - 1e-9, 1.0], dtype=D)
    for schedule, least, most in (("vp", 0, 999), ("edm", 0.002, 80), ("rectified", 0, 0.999)):
        times = schedule_of(schedule, None, None, 1.0).at(t).time.double()
        assert float(times.min()) >= least - 1e-12 and float(times.max()) <= most + 1e-12
    times = schedule_of("vp", False, None, 1.0).at(t).time
    assert (float(times.min()), float(times.max())) == (1e-3, 1.0)


@pytest.mark.parametrize(("clip", "most"), [(True, 1.0), (0.3, 0.3), (False, 3.0)])
@pytest.mark.parametrize("more", [{"schedule": "vp"}, {"predicts": "epsilon"}, {"predicts": "x1"}, {}])
def test_predicted_data_are_clipped(clip, most, more):
    x_t, t = 3 * Noise.of(2, 50).normal("x", 2, dtype=D), torch.full((50,), 0.4, dtype=D)
    field = wrap(lambda x, t: -x if not more else x / 2, clip_x0=clip, **more)
    found = field(x_t, t, Start(x_t))
    assert float(found.x1.abs().max()) <= most + 1e-12 or clip is False
    assert torch.allclose(found.velocity, (found.x1 - x_t) / 0.6, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_levels_are_those_of_diffusers(name):
    scheduler = diffusers().DDPMScheduler(beta_schedule=name, beta_start=1e-4, beta_end=0.02)
    schedules = [scheduler, scheduler.betas, scheduler.betas.numpy(), *(["vp"] if name == "linear" else [])]
    for schedule in schedules:
        square = scheduler.alphas_cumprod.double()
        a, b = square.sqrt(), (1 - square).sqrt()
        level = schedule_of(schedule, None, None, 1.0).at(a / (a + b))
        fine = a / b > 1e-3
        assert torch.allclose(level.a[fine], a[fine], atol=1e-6) and torch.allclose(level.b[fine], b[fine], atol=1e-6)
        assert level.time.tolist() == list(range(1000))


def diffusers():
    sys.modules.setdefault("torchvision", None)  # it needs none of it, and builds may not fit torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("diffusers")


def integrated(field, x, times):
    """Euler's method from x at these times to 1."""
    times = torch.cat([times, torch.ones(1, dtype=D)])
    for t, s in zip(times[:-1], times[1:], strict=True):
        at = t.expand(len(x))
        x = x + (s - t) * field(x, at, Start(x)).velocity
    return x


@pytest.mark.parametrize(("theirs", "predicts"), [("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "x1")])
@pytest.mark.parametrize("clip", [False, True])
def test_a_ddim_trajectory_is_an_euler_trajectory(theirs, predicts, clip):
    scheduler = diffusers().DDIMScheduler(prediction_type=theirs, clip_sample=clip)
    scheduler.set_timesteps(20)
    model = Exact(of_betas(LINEAR), predicts, DATA["a mixture"])
    z = noise = Noise.of(8, 200).normal("z", 2, dtype=D)
    for k in scheduler.timesteps:
        out = model(z, k.expand(200))
        z = scheduler.step(out, int(k), z, use_clipped_model_output=True).prev_sample
    a = alphas(LINEAR)[scheduler.timesteps]
    t = a / (a + (1 - a**2).sqrt())
    ours = integrated(wrap(model, theirs, schedule=scheduler, clip_x0=clip), noise * t[0].hypot(1 - t[0]), t)
    assert torch.allclose(ours, z, atol=2e-5)


def test_an_euler_trajectory_of_sigmas_is_one_of_ours():
    scheduler = diffusers().EulerDiscreteScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(20)
    model = Exact(of_betas(LINEAR), "epsilon", DATA["a mixture"])
    field = wrap(model, schedule=scheduler, integer_times=False)
    sigma = scheduler.sigmas[:-1].double()
    t = 1 / (1 + sigma)
    x = noise = Noise.of(8, 200).normal("z", 2, dtype=D)
    y = noise * sigma[0].hypot(torch.ones(()))

    def between(k):  # the exact predictor at fractions of levels: a of each is linear in log sigma, as in theirs
        level = field.schedule.at(torch.atleast_1d(by_time[float(k[0])]).expand(len(k)))
        return level.a, level.b

    model.levels = between
    by_time = {}
    for k, u in zip(scheduler.timesteps, t, strict=True):
        by_time[float(k)] = by_time[float(field.schedule.at(u[None]).time)] = u
        out = model(scheduler.scale_model_input(y, k), k.expand(200))
        y = scheduler.step(out, k, y).prev_sample
    ours = integrated(field, x * t[0].hypot(1 - t[0]), t)
    assert torch.allclose(ours, y, atol=1e-4)


def test_a_flow_match_trajectory_is_an_euler_trajectory():
    scheduler = diffusers().FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(20)
    model = Exact(lambda s: (1 - s / 1000, s / 1000), "velocity", DATA["a mixture"])
    x = noise = Noise.of(8, 200).normal("z", 2, dtype=D)
    for k in scheduler.timesteps:
        x = scheduler.step(model(x, k.expand(200).double().clamp(max=999)), k, x).prev_sample
    field = wrap(model, schedule="rectified", scale=1000)
    ours = integrated(field, noise, 1 - scheduler.sigmas[:-1].double())
    assert torch.allclose(ours, x.double(), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"schedule": "ddpm"}, "schedule is 'ddpm'; known: 'vp', 'edm', 'rectified', or an array of betas"),
        ({"schedule": object()}, "schedule is a object; give 'vp'"),
        ({"schedule": 0.1}, r"schedule has shape \(\)"),
        ({"schedule": [[0.1, 0.2]]}, r"schedule has shape \(1, 2\)"),
        ({"schedule": [0.1, -0.2]}, r"betas outside \(0, 1\)"),
        ({"schedule": [1.0, 0.2]}, r"betas outside \(0, 1\)"),
        ({"schedule": [0.1, float("nan")]}, r"betas outside \(0, 1\)"),
        ({"schedule": alphas(LINEAR) ** 2}, "not alphas_cumprod"),
        ({"schedule": "vp", "predicts": "velocity"}, "predicts is 'velocity' with schedule 'vp'; known: 'epsilon', 'v', 'x1'"),
        ({"schedule": LINEAR, "predicts": "score"}, "predicts is 'score' with these betas"),
        ({"predicts": "v"}, "'v' needs a schedule"),
        ({"schedule": "edm", "predicts": "v"}, "known: 'x1', 'epsilon'"),
        ({"schedule": "edm", "integer_times": True}, "the time of schedule 'edm' is sigma"),
        ({"schedule": "vp", "scale": 1000}, "scale is 1000"),
        ({"schedule": "vp", "time": "descending"}, "leave time out"),
        ({"schedule": LINEAR, "training_steps": 50}, "has 1000 betas"),
        ({"schedule": "vp", "training_steps": 1}, "training_steps is 1"),
        ({"schedule": "vp", "training_steps": 10.5}, "training_steps is 10.5"),
        ({"integer_times": True}, "give one, like schedule='vp'"),
        ({"training_steps": 1000}, "give one, like schedule='vp'"),
        ({"clip_x0": -1.0}, "clip_x0 is -1.0"),
        ({"clip_x0": "yes"}, "clip_x0 is 'yes'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_in_one_line(more, says):
    with pytest.raises(ValueError, match=says) as caught:
        wrap(lambda x, t: x, **more)
    assert "\n" not in str(caught.value)
