"""Everything that runs on a device runs on one without float64, like Apple's GPUs: a stand-in refuses float64 and mixed devices.

The stand-in computes on the CPU, so a comparison on it must also give the numbers of the CPU."""

import json

import pytest
import torch
from stand_in import OnMps, apple_gpu
from test_matrix import FITS, TRAINING, candidates, extra, problem, small_methods

import warmflow
from warmflow.contracts import Start
from warmflow.devices import doubled, moved, place_of_float64
from warmflow.experiments.compare import compare
from warmflow.noise import Noise


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


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in FITS if n not in ("folder", "points", "digits")])
def test_every_method_is_compared_on_it_and_the_numbers_are_those_of_the_cpu(name, tmp_path, monkeypatch):
    """Trained, sampled with every solver, measured, timed: all that ``warmflow compare --device mps`` runs."""
    methods, known = candidates(), small_methods()
    setup = problem(name, tmp_path).setup(**TRAINING, **extra(name))
    asked = [methods[m] for m in FITS[name]]
    asked += [one for m, one in methods.items() if m not in known and not one.fits(setup)]
    if name == "super-resolution":
        from warmflow.drafts.regression import Regression

        asked = [warmflow.WarmStart(draft=Regression(updates=2), sigma=0.3)]
    more = {"seeds": (0, 1), "calls": (1, 4), "samples": 200, "progress": False, **TRAINING, **extra(name)}
    compare(problem(name, tmp_path), asked, out=tmp_path / "cpu", **more)
    with apple_gpu():
        compare(problem(name, tmp_path), asked, out=tmp_path / "mps", device="mps", **more)
    cpu, mps = (json.loads((tmp_path / where / "verdict.json").read_text()) for where in ("cpu", "mps"))
    assert json.loads((tmp_path / "mps" / "config.json").read_text())["device"] == "mps"
    for one, other in zip(cpu["curves"], mps["curves"], strict=True):
        for a, b in zip(one["points"], other["points"], strict=True):
            assert a["calls"] == b["calls"] and a["metrics"].keys() == b["metrics"].keys()
            for metric, value in a["metrics"].items():
                assert value["mean"] == pytest.approx(b["metrics"][metric]["mean"], rel=1e-3, abs=1e-6)
