"""Bad input of learned priors and of distillation, in the same form as ``bad_input``'s cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bad_input import Case, Place, run, train, words

SHORT = words("--quiet --no-report")
FEW = [*words("--updates 3 --batch 32"), *SHORT]


def student_runs(root: Path) -> Path:
    """What the cases below copy from, beside ``bad_input.shared_runs``."""
    train(root / "blind", "warm-start", 0, "--warm-start.no-seen")
    train(root / "bare", "warm-start", 0, "--warm-start.sigma", "0")
    code, _, err = run(["distill", str(root / "cold0"), *FEW, "--out", str(root / "student0")])
    assert code == 0, err
    return root


def student_commands() -> Iterator[Case]:
    def distil(*more: str, of: Callable[[Place], Any] = lambda p: p.shared / "cold0") -> Callable[[Place], Any]:
        few = SHORT if more[:1] in (("--updates",), ("--batch",)) else FEW
        return lambda p: ["distill", str(of(p)), *few, "--out", str(p.here / "s"), *more]

    yield Case("distill without a run", lambda p: ["distill"], "RUN", "--help")
    for flag, value, remedy in (
        ("--alpha", "-1", "at least 0"),
        ("--alpha", "nan", "finite"),
        ("--online-updates", "0", "at least 1"),
        ("--updates", "0", "at least 1"),
        ("--batch", "-1", "at least 1"),
        ("--learning-rate", "0", "greater than 0"),
        ("--beta", "1", "less than 1"),
        ("--ema", "1", "less than 1"),
        ("--real", "2", "at most 1"),
        ("--times", "uniforn", "did you mean 'uniform'"),
        ("--device", "toaster", "use cpu"),
    ):
        yield Case(f"distill {flag} {value}", distil(flag, value), value, remedy)
    yield Case("distill of nothing", distil(of=lambda p: p.here / "no"), "/no", "not a run folder")
    yield Case("distill of a comparison", distil(of=lambda p: p.shared / "compare"), "compare", "name one of the runs")
    yield Case("distill of an unfinished run", distil(of=lambda p: p.shared / "started"), "started", "again")
    yield Case(
        "distill of half a model",
        distil(of=lambda p: p.cut("cold0", "model.safetensors")),
        "model.safetensors",
        "delete",
    )
    yield Case(
        "distill of another version", distil(of=lambda p: p.edited("cold0", warmflow="9.7.0")), "9.7.0", "install"
    )
    yield Case("distill of a student", distil(of=lambda p: p.shared / "student0"), "itself distilled", "teacher")
    yield Case(
        "distill of a blind flow",
        distil(of=lambda p: p.shared / "blind"),
        "does not see",
        "distil a flow that sees its draft",
    )
    yield Case("distill of bare drafts", distil(of=lambda p: p.shared / "bare"), "sigma 0", "start has some")
    yield Case(
        "distill with another alpha into a student's folder",
        lambda p: ["distill", str(p.shared / "cold0"), *FEW, "--alpha", "0.5", "--out", str(p.copy("student0"))],
        "alpha was 1.0, is now 0.5", "choose another --out",
    )  # fmt: skip
    yield Case(
        "distill onto a file",
        lambda p: ["distill", str(p.shared / "cold0"), *FEW, "--out", str(p.file("s"))], "/s", "choose another",
    )  # fmt: skip
    yield Case(
        "sample of a student in four steps",
        lambda p: ["sample", str(p.shared / "student0"), "--steps", "4", "--out", str(p.here / "x.npy")],
        "one call", "leave steps and solver out",
    )  # fmt: skip
    yield Case(
        "a student among flows",
        lambda p: ["compare", str(p.shared / "student0"), str(p.shared / "cold1"), "--out", str(p.here / "c")],
        "different seeds", "train the missing ones",
    )  # fmt: skip
    yield Case(
        "a student whose teacher is gone",
        lambda p: ["compare", str(_orphan(p)), "--out", str(p.here / "c")],
        "gone, which is not there", "compare where it was distilled",
    )  # fmt: skip

    def prior(*more: str, problem: str = "digits") -> Callable[[Place], Any]:
        return lambda p: ["train", problem, "--method", "learned-prior", "--out", str(p.here / "run"), "--quiet", *more]

    for flag, value, remedy in (
        ("--latent", "0", "at least 1"),
        ("--latent-steps", "0", "at least 1"),
        ("--latent-width", "-2", "at least 1"),
        ("--latent-updates", "-5", "at least 0"),
        ("--kl", "-1", "at least 0"),
        ("--auxiliary-updates", "0", "at least 1"),
        ("--auxiliary-width", "-3", "at least 1"),
        ("--auxiliary-dropout", "1", "less than 1"),
        ("--weights", "varience", "did you mean 'variance'"),
    ):
        option = f"--learned-prior.{flag.removeprefix('--')}"
        yield Case(f"a learned prior with {flag} {value}", prior(option, value), value, remedy)
    yield Case(
        "a misspelt method",
        lambda p: ["train", "digits", "--method", "learned-pior", "--out", str(p.here / "run")], "learned-pior", "did you mean",
    )  # fmt: skip
    yield Case("a U-Net of an odd width", prior("--width", "6", problem="fashion-mnist"), "width is 6", "multiple of 4")


def _orphan(p: Place) -> Path:
    return p.edited("student0", teacher={"path": str(p.here / "gone"), "from_here": "../gone"})


def student_calls() -> Iterator[Case]:
    from warmflow import LinearPath

    yield Case("a negative scale", lambda p: lambda: _prior(scale=-1.0), "scale is -1", "0 or more")
    yield Case("a scale of NaN", lambda p: lambda: _prior(scale=float("nan")), "nan", "0 or more")
    yield Case("a latent of another shape", lambda p: lambda: _prior(latent=3), "(3,)", "trained for it")
    yield Case("z of another shape", lambda p: lambda: _prior().decoded(torch.zeros(4, 3)), "(4, 3)", "(n, 2)")
    yield Case("sigma at its floor", _floor, "sigma is at its bounds on 100%", "kl")
    yield Case("an alpha below 0", lambda p: lambda: _matching(alpha=-0.5), "alpha is -0.5", "0.5 is exact")
    yield Case("no online updates", lambda p: lambda: _matching(online_updates=0), "online_updates is 0", "at least 1")
    yield Case("a share above 1", lambda p: lambda: _matching(real=1.5), "real is 1.5", "0 .. 1")
    yield Case(
        "an unknown distribution of times", lambda p: lambda: _matching(times="often"), "'often'", "logit_normal"
    )
    yield Case("unknown errors", lambda p: lambda: _matching(errors="score"), "'score'", "'velocity' or 'x1'")
    yield Case(
        "a teacher of another path",
        lambda p: lambda: _matching(teacher={"path": LinearPath(0.5)}),
        "t0 = 0.5",
        "along one path",
    )
    yield Case(
        "a teacher of another prediction", lambda p: lambda: _matching(teacher={"predicts": "velocity"}),
        "the teacher 'velocity'", "build it as the teacher is",
    )  # fmt: skip
    yield Case(
        "a teacher of another conditioning", lambda p: lambda: _matching(teacher={"sees": ("draft",)}),
        "('draft',)", "build it as the teacher is",
    )  # fmt: skip


def _prior(latent: int = 2, scale: float = 1.0) -> Any:
    from warmflow.networks import Auxiliary
    from warmflow.sources import LearnedPrior, StandardNormal

    return LearnedPrior(StandardNormal((latent,)), Auxiliary((3,), latent=2, width=8), (3,), scale)


def _floor(p: Place) -> Callable[[], Any]:
    """An auxiliary model that repeats its data: every sigma at the floor."""
    from warmflow.data.images import digits
    from warmflow.drafts import learned_prior
    from warmflow.networks import Auxiliary

    data = digits(0)
    auxiliary = Auxiliary(data.shape, latent=8, width=8)
    with torch.no_grad():
        auxiliary.decoder[-1].bias[64:] = -200.0
        auxiliary.decoder[-1].weight[64:] = 0.0
    return lambda: learned_prior._measured(auxiliary, data, 0)


def _matching(teacher: dict[str, Any] | None = None, **more: Any) -> Any:
    from warmflow.contracts import Player
    from warmflow.couplings import Independent
    from warmflow.fields import NetworkField
    from warmflow.networks import MLP
    from warmflow.objectives import FlowGeneratorMatching
    from warmflow.paths import LinearPath
    from warmflow.sources import StandardNormal

    fields = [NetworkField(MLP((2,), width=8, depth=1), LinearPath(0.0), "x1") for _ in range(3)]
    theirs, online, student = replace(fields[0], **(teacher or {})), fields[1], fields[2]
    by = {"online": Player(online.network, 1e-3), "student": Player(student.network, 1e-3)}
    return FlowGeneratorMatching(theirs, online, student, StandardNormal((2,)), Independent(), by, **more)
