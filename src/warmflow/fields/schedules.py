"""Diffusion models as velocity fields: how their noise schedules are converted to the straight path.

A diffusion model is trained on z_s = a(s) x1 + b(s) eps, where b / a rises with s from data to noise. The straight path is
x_t = t x1 + (1 - t) eps. Both combine the same two vectors, so the points (a, b) and (t, 1 - t) lie on one ray if

    b(s) / a(s) = (1 - t) / t,        and then        z_s = (a / t) x_t = sqrt((a^2 + b^2) / (t^2 + (1 - t)^2)) x_t.

The second form is finite at t = 0, where z_s has the size of the noise that the model's own sampler starts from. The first
equation gives s for each t, the second the input of the model. Its prediction gives the data point:

    epsilon     x1 = (z - b eps) / a
    v           x1 = (a z - b v) / (a^2 + b^2)        v = a eps - b x1, and a^2 + b^2 = 1
    velocity    x1 = z - b u                          u = dz / ds = eps - x1, where a = 1 - s and b = s
    x1          as it is

and the velocity of the straight path is x1 - eps = (x1 - x_t) / (1 - t), as eps = (x_t - t x1) / (1 - t). Conditional
expectations are linear in the prediction, so the equations hold for a trained model as for a known pair: the model's own
probability-flow trajectories are, in these coordinates, those of the velocity field, and a DDIM step is an Euler step.

A model is never called outside the levels of noise that it was trained on: t is limited to [t_min, t_max] in the first equation.
Below t_min, the model's largest level, x_t is noise and nothing else; above t_max, the last step ends at the x1 of its
smallest level.

References:
    Denoising Diffusion Probabilistic Models, Ho, Jain, Abbeel, 2020, arXiv 2006.11239 (betas)
    Score-Based Generative Modeling through SDEs, Song et al., 2020, arXiv 2011.13456, eq. 32 and 33 (VP with continuous time)
    Elucidating the Design Space of Diffusion-Based Generative Models, Karras et al., 2022, arXiv 2206.00364, eq. 7 (EDM)
    Progressive Distillation for Fast Sampling of Diffusion Models, Salimans, Ho, 2022, arXiv 2202.00512 (v)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.devices import doubled
from warmflow.number_checks import is_whole
from warmflow.paths.linear import spread

FIRST, LAST = 1e-4, 2e-2
"""The first and the last beta of DDPM, between which its betas rise linearly."""
STEPS = 1000
BETA_MIN, BETA_MAX, LEAST_TIME = 0.1, 20.0, 1e-3
"""beta(s) = 0.1 + 19.9 s of the VP equation with continuous time, and the time at which its samplers end."""
SIGMA_MIN, SIGMA_MAX = 2e-3, 80.0
"""The smallest and the largest noise of EDM."""
EARLIEST = 1e-3
"""Least t of schedules that end in noise alone: below, epsilon does not determine x1."""
NAMES = ("vp", "edm", "rectified")


@dataclass(frozen=True)
class Level:
    """The coefficients a and b (B,) float64 of z_s, and the model's time (B,)."""

    a: Tensor
    b: Tensor
    time: Tensor

    def noisy(self, x_t: Tensor, t: Tensor) -> Tensor:
        """z_s (B, *S) of points x_t (B, *S) of the straight path at t (B,)."""
        t = doubled(t)
        return x_t * spread(self.a.hypot(self.b) / t.hypot(1 - t), x_t)

    def x1(self, predicts: str, z: Tensor, out: Tensor) -> Tensor:
        """The data point (B, *S) that a prediction at z (B, *S) means."""
        a, b = spread(self.a, z), spread(self.b, z)
        match predicts:
            case "epsilon":
                return (z - b * out) / a
            case "v":
                return a * z - b * out
            case "velocity":
                return z - b * out
        return out


class Schedule(ABC):
    """How a model's training data were noised, and the time that it is called with."""

    predictions: ClassVar[tuple[str, ...]]
    """What its models may predict, the default first."""

    @abstractmethod
    def at(self, t: Tensor) -> Level:
        """The level of noise of the straight path at t (B,), limited to those that the model was trained on."""


@dataclass(frozen=True, eq=False)
class Betas(Schedule):
    """DDPM: level k of betas (T,) has a^2 = prod_(i <= k) (1 - beta_i) and b^2 = 1 - a^2; the model's time is k = 0 .. T - 1.
    Between two levels, k is linear in log(b / a), which is at most log 1000 (the last betas may leave no signal at all).

    Args:
        integer: whether the model takes whole times, int64; otherwise they are floats.
    """

    betas: Tensor
    integer: bool = True
    predictions: ClassVar[tuple[str, ...]] = ("epsilon", "v", "x1")

    def ratios(self) -> Tensor:
        """log(b / a) (T,) float64 of each level, rising."""
        log_square = torch.log1p(-self.betas.double()).cumsum(0)  # of a
        found = (torch.log(-torch.expm1(log_square)) - log_square) / 2
        return found.clamp(max=-math.log(EARLIEST))

    def at(self, t: Tensor) -> Level:
        table = self.ratios().to(t.device)
        ratio = (-torch.logit(doubled(t))).clamp(table[0], table[-1])
        above = torch.searchsorted(table, ratio).clamp(1, len(table) - 1)
        k = above - (table[above] - ratio) / (table[above] - table[above - 1])
        a, b = torch.sigmoid(-2 * ratio).sqrt(), torch.sigmoid(2 * ratio).sqrt()
        return Level(a, b, k.round().long() if self.integer else k)


@dataclass(frozen=True)
class VariancePreserving(Schedule):
    """The VP equation in continuous time: -log a^2 = beta_min s + (beta_max - beta_min) s^2 / 2, b^2 = 1 - a^2, for s in
    [0.001, 1]; the model's time is ``scale`` s."""

    scale: float = 1.0
    predictions: ClassVar[tuple[str, ...]] = Betas.predictions

    def at(self, t: Tensor) -> Level:
        t, rise = doubled(t), BETA_MAX - BETA_MIN
        asked = torch.log1p(((1 - t) / t.clamp(min=1e-12)) ** 2)  # -log a^2
        s = (2 * asked / (BETA_MIN + (BETA_MIN**2 + 2 * rise * asked).sqrt())).clamp(LEAST_TIME, 1)
        log_square = -(BETA_MIN * s + rise * s**2 / 2)
        return Level((log_square / 2).exp(), (-torch.expm1(log_square)).sqrt(), self.scale * s)


@dataclass(frozen=True)
class Edm(Schedule):
    """EDM: z = x1 + sigma eps for sigma in [0.002, 80]; the model's time is ``scale`` sigma, and it is the denoiser D(z, sigma),
    its scalings included."""

    scale: float = 1.0
    predictions: ClassVar[tuple[str, ...]] = ("x1", "epsilon")

    def at(self, t: Tensor) -> Level:
        sigma = ((1 - doubled(t)) / doubled(t)).clamp(SIGMA_MIN, SIGMA_MAX)
        return Level(torch.ones_like(sigma), sigma, self.scale * sigma)


@dataclass(frozen=True)
class Rectified(Schedule):
    """Rectified flow with time from data to noise: z = (1 - s) x1 + s eps, so s = 1 - t; the model's time is ``scale`` s.

    Args:
        integer: whether the model takes whole times, int64; otherwise they are floats.
    """

    scale: float = 1.0
    integer: bool = False
    predictions: ClassVar[tuple[str, ...]] = ("velocity", "x1", "epsilon")

    def at(self, t: Tensor) -> Level:
        a = doubled(t).clamp(min=EARLIEST)
        time = self.scale * (1 - a)
        return Level(a, 1 - a, time.round().long() if self.integer else time)


def schedule_of(given: object, integer: bool | None, steps: int | None, scale: float) -> Schedule:
    """The schedule that ``wrap`` was given: a name, betas, or an object with betas (a scheduler of diffusers).

    Raises:
        ValueError: an unknown name, numbers that are no betas, or options that do not fit the schedule.
    """
    if steps is not None and not is_whole(steps, 2):
        raise ValueError(f"training_steps is {steps!r}; give the number of the model's training times, like 1000")
    name = given if isinstance(given, str) else ""
    match name:
        case "vp" if integer is False:
            return VariancePreserving(scale)
        case "edm" if integer:
            raise ValueError("integer_times is True, but the time of schedule 'edm' is sigma: leave integer_times out")
        case "edm":
            return Edm(scale)
        case "rectified":
            return Rectified(float(steps or STEPS) if integer else scale, bool(integer))
        case "vp":
            betas = torch.linspace(FIRST, LAST, steps or STEPS, dtype=torch.float64)
        case "":
            betas = _betas(given)
        case _:
            raise ValueError(f"schedule is {given!r}; known: {', '.join(map(repr, NAMES))}, or an array of betas")
    if scale != 1:
        raise ValueError(
            f"scale is {scale:g}, but a model with betas is called with the number of the level: leave scale out"
        )
    if steps not in (None, len(betas)):
        raise ValueError(f"training_steps is {steps}, but schedule has {len(betas)} betas: leave training_steps out")
    return Betas(betas, integer is not False)


def _betas(given: object) -> Tensor:
    """The betas (T,) float64 of an array, or of an object that has them."""
    known = f"give {', '.join(map(repr, NAMES))}, a scheduler with betas, or an array of betas"
    try:
        betas = torch.as_tensor(getattr(given, "betas", given)).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"schedule is a {type(given).__name__}; {known}") from None
    if betas.ndim != 1 or len(betas) < 2:
        raise ValueError(f"schedule has shape {tuple(betas.shape)}; {known}, one for each training time")
    if not bool(((betas > 0) & ((betas < 1) | (betas == 1) & (torch.arange(len(betas)) == len(betas) - 1))).all()):
        raise ValueError(
            "schedule has betas outside (0, 1); give the variances of the noise that each training time adds"
        )
    if float(betas[0]) > 0.5:
        raise ValueError(
            f"schedule begins with {float(betas[0]):.4g}, which is no beta: give betas, not alphas_cumprod"
        )
    return betas
