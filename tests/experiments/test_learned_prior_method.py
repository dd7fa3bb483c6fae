"""The learned prior as a method: cold, warm, LeDiFlow and LeDiFlow from the mean in one report, resumable, its facts told."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from judged_runs import bills, image_set, roles, said, silent, sound

from warmflow.checkpoints import load, load_part
from warmflow.drafts import Place, learned_prior
from warmflow.drafts.learned_prior import PriorOptions, trained_prior
from warmflow.drafts.mixture import Mixture
from warmflow.experiments.compare import compare
from warmflow.experiments.compare_runs import compare_runs
from warmflow.experiments.distill import distill
from warmflow.experiments.sample import sample_run
from warmflow.experiments.train import train_run
from warmflow.files import read_json
from warmflow.methods import Parts, settled
from warmflow.methods.cold import Cold
from warmflow.methods.learned_prior import LearnedPrior
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.problems import problem_of
from warmflow.problems.digits import Digits
from warmflow.sources import LearnedPrior as PriorSource

pytestmark = pytest.mark.long

TRAINING = {"updates": 12, "width": 16, "depth": 1, "batch": 32}
PRIOR = LearnedPrior(auxiliary_updates=150, auxiliary_width=32, latent_updates=40)
MEAN = replace(PRIOR, scale=0.0)
WARM = WarmStart(rounds=1)


def compared_in(out: Path) -> None:
    compare(
        Digits(),
        [PRIOR, MEAN, WARM],
        out=out,
        seeds=(0, 1),
        calls=(1,),
        samples=400,
        jobs=2,
        progress=False,
        **TRAINING,
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prior") / "c"
    compared_in(out)
    return out


def test_all_flows_stand_in_one_report(compared: Path) -> None:
    facts = sound(compared, [0, 1])
    assert roles(facts) == {
        "cold": ("baseline", ""), "cold-minibatch": ("baseline", ""), "cold-whole-set": ("baseline", ""),
        "warm-start": ("candidate", ""), "warm-start-from-noise": ("control", "warm-start"),
        "warm-start-start": ("start", "warm-start"), "learned-prior": ("candidate", ""),
        "learned-prior-start": ("start", "learned-prior"), "learned-prior-from-mean": ("candidate", ""),
        "learned-prior-from-mean-start": ("start", "learned-prior-from-mean"),
    }  # fmt: skip
    assert next(iter(facts["candidates"])) == "learned-prior", "the verdict of the first method that was asked for"
    words = facts["candidates"]["learned-prior"]["words"]
    assert words["question"].startswith("Does LeDiFlow need fewer network calls than cold")
    assert "equal training of the flows" in words["conditions"], "a learned prior's own training comes on top"
    page = said(compared)
    for text in ("LeDiFlow from the mean", "learned prior alone", "distinguished from encoded ones", "latent sampler"):
        assert text in page, text
    assert {"auxiliary model", "latent sampler", "draft", "pairing", "pairing of noise"} <= set(facts["bill"])
    found = {name: set(bill) for name, bill in bills(facts).items()}
    assert found["learned-prior"] == {"auxiliary model", "latent sampler", "training"}
    assert found["warm-start"] == {"draft", "pairing", "training"} and found["cold"] == {"training"}


def priors(compared: Path, seed: int) -> Path:
    """The folder of a seed's one prior, which both flows share."""
    (found,) = (compared / "seeds" / str(seed) / "parts").glob("prior-*")
    return found


def test_the_facts_of_the_prior_are_its_own(compared: Path) -> None:
    """What config.json says is what the saved parts do on held-out images."""
    prior = load_part(priors(compared, 0) / "source", "source")
    told = read_json(compared / "config.json")["facts"]["parts"]["learned-prior"]
    y = Digits().load().apart.x1
    with torch.no_grad():
        mean, _ = prior.auxiliary.decode(prior.auxiliary.encode(y)[0])
    explained = 1 - float((y - mean).square().mean() / (y - y.mean(0)).square().mean())
    assert explained == pytest.approx(told["explained"], abs=0.1)
    assert told["active"] <= told["latent"] == 8 and 0 <= told["clamped"] <= 1 and 0.5 <= told["latent_auc"] <= 1


def test_flows_start_at_the_prior_and_at_its_mean(compared: Path) -> None:
    for name, scale in (("learned-prior", 1.0), ("learned-prior-from-mean", 0.0)):
        sampler = load(compared / "seeds" / "0" / name)
        assert isinstance(sampler.source, PriorSource) and sampler.source.scale == scale
        start = sampler.source.draw(50, noise=Noise.of(0, 50))
        assert torch.equal(start.x0, start.condition["mean"]) == (scale == 0)
        assert start.calls is not None and int(start.calls[0]) == 7, "the latent's 4 Heun steps are the start's calls"
        assert "label" not in start.condition, "flows without labels beside it: the latent sampler is given none"


def test_the_same_call_reads_the_prior_again(compared: Path) -> None:
    def stamps() -> list[int]:
        return [p.stat().st_mtime_ns for p in sorted(compared.glob("seeds/*/parts/prior-*/*/model.safetensors"))]

    before = stamps()
    (compared / "verdict.json").unlink()
    config = read_json(compared / "config.json")
    (compared / "config.json").write_text(json.dumps({**config, "state": "started"}))
    compared_in(compared)
    assert stamps() == before and len(before) == 4, "auxiliary model and latent sampler of two seeds"
    sound(compared, [0, 1])


def test_one_flow_is_trained_sampled_and_distilled(tmp_path: Path) -> None:
    out, weighted = tmp_path / "run", replace(PRIOR, weights="variance")
    train_run(Digits(), weighted, out, progress=False, echo=silent, **TRAINING)
    told = read_json(out / "config.json")
    assert told["asked"]["method"]["class"] == "LearnedPrior" and told["asked"]["method"]["weights"] == "variance"
    spent = told["spent"]
    assert set(spent) == {"auxiliary model", "latent sampler"} and min(spent.values()) > 0
    train_run(Digits(), Cold(), tmp_path / "cold", progress=False, echo=silent, **TRAINING)
    compare_runs([out, tmp_path / "cold"], tmp_path / "both", calls=(1,), samples=400, progress=False)
    facts = sound(tmp_path / "both", [0])
    assert {role for role, _ in roles(facts).values()} == {"candidate", "baseline", "start"}
    assert {"learned-prior", "cold"} < set(roles(facts)) and len(roles(facts)) == 3
    assert {name: facts["bill"][name] for name in spent} == spent
    sample_run(out, 16, tmp_path / "x.png", progress=False)
    few: dict[str, Any] = {"updates": 3, "batch": 32, "progress": False, "report": False}
    distill(out, tmp_path / "student", **few)
    student = load(tmp_path / "student")
    assert isinstance(student.source, PriorSource) and student(4).calls.tolist() == [1] * 4
    train_run(Digits(), MEAN, tmp_path / "mean", progress=False, echo=silent, **TRAINING)
    with pytest.raises(ValueError, match="without noise of its own"):
        distill(tmp_path / "mean", tmp_path / "never", **few)


def test_low_frequencies_are_a_prior_too(tmp_path: Path) -> None:
    low = replace(PRIOR, prior="low_pass")
    sampler = train_run(Digits(), low, tmp_path / "run", progress=False, echo=silent, **TRAINING)
    assert isinstance(sampler.source, PriorSource) and sampler.source.latent.shape == (16,)
    start = sampler.source.draw(6, noise=Noise.of(0, 6))
    small = torch.nn.functional.avg_pool2d(start.condition["z"].reshape(-1, 1, 4, 4), 2)
    assert torch.allclose(torch.nn.functional.avg_pool2d(start.condition["mean"], 4), small, atol=0.35)
    assert sampler(3).x.shape == (3, 1, 8, 8)
    with pytest.raises(ValueError, match="factor is 3; low frequencies need images"):
        train_run(Digits(), replace(low, factor=3), tmp_path / "never", progress=False, echo=silent, **TRAINING)
    assert not (tmp_path / "never").exists()


def test_a_collapsed_latent_is_named_and_so_is_a_sigma_at_its_bounds(tmp_path: Path) -> None:
    setup = Digits().setup(batch=32)
    options = PriorOptions(auxiliary_updates=150, auxiliary_width=32, latent_updates=0, kl=1e3)
    prior, seconds = trained_prior(options, setup, Place(tmp_path / "collapsed"))
    facts = read_json(tmp_path / "collapsed" / learned_prior.FACTS)
    assert facts["active"] == 0 and facts["warning"].endswith("lower kl of learned-prior")
    assert "posterior collapse" in facts["warning"] and seconds["latent sampler"] == 0
    auxiliary: Any = prior.auxiliary
    with torch.no_grad():
        auxiliary.decoder[-1].bias[64:] = -200.0
        auxiliary.decoder[-1].weight[64:] = 0.0
    with pytest.raises(
        ValueError, match=r"sigma is at its bounds on 100% of the pixels.*kl, latent or auxiliary_updates"
    ) as error:
        learned_prior._measured(auxiliary, setup.data, 0)
    assert "--" not in str(error.value)


def test_a_collapsed_prior_is_warned_of_in_the_report_of_its_method(tmp_path: Path) -> None:
    setup = Digits().setup(**TRAINING)
    method = settled(replace(PRIOR, latent_updates=0, kl=1e3), setup)
    assert "posterior collapse" in method.facts(Parts(setup, 0, tmp_path))["warning"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"latent": 0}, "latent is 0"),
        ({"kl": -1}, "kl is -1"),
        ({"auxiliary_updates": 0}, "auxiliary_updates is 0"),
        ({"latent_updates": -5}, "latent_updates is -5"),
        ({"auxiliary_dropout": 1}, "auxiliary_dropout is 1"),
        ({"weights": "some"}, "weights is 'some'"),
        ({"scale": -0.5}, "scale is -0.5"),
        ({"ltent": 3}, "ltent is no option of LearnedPrior; did you mean 'latent'?"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        LearnedPrior(**options)
    assert "\n" not in str(error.value) and "--" not in str(error.value)


def test_what_a_learned_prior_does_not_carry_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a learned prior carries no labels: leave conditional out"):
        settled(LearnedPrior(), Digits().setup(conditional=True))
    with pytest.raises(ValueError, match="method is 'learned-pror'; did you mean 'learned-prior'"):
        train_run(Digits(), "learned-pror", tmp_path / "never", progress=False, echo=silent)


@pytest.mark.parametrize(("name", "shape"), [("fashion-mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_larger_images_from_a_learned_prior(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    image_set(name)
    problem = problem_of(name, most=1000)
    prior = LearnedPrior(auxiliary_updates=60, auxiliary_width=32, latent_updates=10)
    for method in (WarmStart(draft=Mixture(components=3), passes=1), prior):
        out = tmp_path / method.name
        train_run(problem, method, out, progress=False, echo=silent, updates=3, batch=16, width=4)
        x = load(out)(3, seed=0, steps=2).x
        assert x.shape == (3, *shape) and float(x.abs().max()) <= 1
    with pytest.raises(ValueError, match="width is 6"):
        problem.setup(width=6)
    with pytest.raises(ValueError, match="depth is -1"):
        problem.setup(depth=-1)
    with pytest.raises(ValueError, match="most is 10"):
        problem_of(name, most=10)


def test_fashion_without_its_files_says_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmflow.data import idx

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "debian")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="Fashion-MNIST was not found: set WARMFLOW_DATA"):
        train_run("fashion-mnist", LearnedPrior(), tmp_path / "never", progress=False, echo=silent)
