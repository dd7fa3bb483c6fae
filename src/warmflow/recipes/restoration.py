"""Restoring images: super-resolution, denoising and pairs of the user's own, warm from a regression (or from the input) beside
the conditional cold flow.

    cold     starts at N(0, I), sees the input
    warm     starts at draft + sigma eps, sees the draft, and the input where the draft is a regression of it
    noise    the control of the start effect: the warm recipe with N(0, I) in place of the regression; sees it and the input

Every datum is paired with the draft of its own input, so that nothing is assigned: the pairs keep both laws as they are.
Samples are judged on inputs of the validation part against images of the held-out part. Beside it stand PSNR and SSIM, which
the regression wins, and the recovered conditional variance, of which it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from warmflow.contracts import Batch, Coupling, Player, Source
from warmflow.couplings import Independent
from warmflow.data import DataSet, enough
from warmflow.data.paired import INPUT, denoising, paired_folders, pairs, read_pairs, super_resolution
from warmflow.drafts.trained import trained_part
from warmflow.fields import NetworkField
from warmflow.objectives import FlowMatching, Regression
from warmflow.paths import LinearPath
from warmflow.recipes.flows import SOLVERS, FloatFlow
from warmflow.recipes.images import images_of, network_of
from warmflow.recipes.plan import Arm, Flow, Plan
from warmflow.recipes.settings import Denoising, Pairs, Restoration, SuperResolution, of_floats
from warmflow.sampler import Sampler
from warmflow.sources import Blurred, Conditioned, Restored, StandardNormal

FLOATS = FloatFlow()


@dataclass(frozen=True)
class RestorationFlow(Flow):
    """The flows above, all given the input.

    There is no "cold_whole": every input has an answer of its own, and noise assigned over the whole set would be paired with
    the answers of other inputs.
    """

    arms = ("cold", "warm", "noise")
    offline = ()
    counted = ("draft",)
    audited = False

    def warm_source(self, plan: Plan, draft: Source) -> Source:
        return Blurred(draft, of_floats(plan.settings).sigma)

    def stand_in(self, plan: Plan) -> Source | None:
        if plan.settings.draft == "input":
            return None
        return Restored(plan.network(plan.data.shape, {}, 0), plan.data.apart.condition[INPUT])

    def noise(self, plan: Plan) -> Source:
        return Conditioned(StandardNormal(plan.data.shape), INPUT, plan.data.apart.condition[INPUT])

    def coupling(self, plan: Plan, pairing: str) -> Coupling:
        return Independent()

    def arm(
        self, plan: Plan, name: str, seed: int, draft: Source | None, paired: Batch | None, begin: Any = None
    ) -> Arm:
        s, shape = of_floats(plan.settings), plan.data.shape
        if begin is not None:
            raise ValueError(f"the arm {name!r} is trained from the beginning: leave --from out")
        if name == "warm":
            assert isinstance(draft, Restored)
            source, path = self.warm_source(plan, draft), LinearPath(s.t0)
            sees = ("draft",) if draft.network is None else ("draft", INPUT)
        elif name == "noise":
            assert draft is not None
            source, path, sees = self.warm_source(plan, draft), LinearPath(s.t0), ("draft", INPUT)
        elif name == "cold":
            source, path, sees = self.noise(plan), LinearPath(0.0), (INPUT,)
        else:
            raise ValueError(f"arm {name!r} is unknown; known: {', '.join(self.arms)}")
        net = plan.network(shape, dict.fromkeys(sees, shape), seed)
        field = NetworkField(net, path, s.predicts, sees, s.autocast)
        objective = FlowMatching(field, source, Independent(), Player(net, s.learning_rate, ema=s.ema))
        return Arm(name, objective, plan.data.train, Sampler(source, field, SOLVERS[s.solver], 4, plan.hooks))


def data_of(settings: Restoration) -> DataSet:
    """Images with their inputs; ValueError for pairs that do not fit each other."""
    s = settings
    if isinstance(s, Pairs):
        if s.path:
            return pairs(*read_pairs(s.path), name=s.path, seed=s.data_seed)
        return paired_folders(s.inputs, s.targets, s.size, mode=s.mode, seed=s.data_seed)
    if isinstance(s, SuperResolution):
        return super_resolution(images_of(s), s.factor)
    assert isinstance(s, Denoising)
    return denoising(images_of(s), s.noise, s.data_seed)


def plan(name: str, settings: Restoration) -> Plan:
    """The plan of images with their inputs."""
    s, data = settings, data_of(settings)
    enough(data.total, data.name)
    build = network_of(s, data.shape)

    def fit(folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source:
        if s.draft == "input":
            return Restored(None, data.apart.condition[INPUT])
        return regression(s, data, build, folder, "regression" if progress else None, seed)

    return Plan(name, s, data, fit, build, RestorationFlow())


def regression(
    s: Restoration,
    data: DataSet,
    build: Callable[..., nn.Module],
    folder: Path | None,
    progress: str | None,
    seed: int = 0,
) -> Restored:
    """A network of the flows' size that says E[image | input], trained on the training part, as a draft."""
    network = build(data.shape, {}, seed)
    objective = Regression(network, Player(network, s.learning_rate, ema=s.ema))
    inputs = data.apart.condition[INPUT]
    asked = {"kind": "draft", "draft": "regression", "settings": s.asked}

    def finished(trained: nn.Module) -> Restored:
        return Restored(trained.requires_grad_(False), inputs)

    return trained_part(  # type: ignore[no-any-return]
        objective, data.train, finished, asked, steps=s.draft_updates, batch=min(s.batch, len(data.train)),
        seed=seed, folder=folder, progress=progress,
    )  # fmt: skip
