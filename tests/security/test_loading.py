"""A run folder from a stranger: what its description asks for is bounded, what it names is not opened. See docs/security.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from stranger_runs import a_run, changed
from torch import nn

import warmflow
from warmflow.checkpoints import config, load, rebuild
from warmflow.experiments.sample import sample_run
from warmflow.metrics.extractors import Scripted
from warmflow.networks import MLP, DiT, TokenTransformer, UNet
from warmflow.noise import Noise
from warmflow.sources import Blurred, DiffusersPipeline
from warmflow.sources.pipeline import check_plain, load_pipeline

HERE = Path(__file__).parent


ARGUMENTS = "fields__field__fields__network__arguments__"


def measured(code: str, *args: object, limit: float = 60) -> tuple[str, int]:
    """What a program prints in a process of its own, and by how many MB its memory grew after the imports."""
    body = (
        "import re, sys, pathlib, torch\nfrom warmflow.checkpoints import load\nimport warmflow.experiments.sample\n"
        "status = pathlib.Path('/proc/self/status')  # ru_maxrss would begin with that of the process that starts this one\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]) // 1024\nbefore = peak()\n"
        f"{code}\nprint(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", body, *map(str, args)], capture_output=True, text=True, timeout=limit, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *said, grown = done.stdout.strip().splitlines()
    return "\n".join(said), int(grown)


LOADING = """
try: load(sys.argv[1])
except ValueError as error: print(error)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "value"), [("width", 60_000), ("width", 2**24), ("depth", 20_000), ("shape", [2**24])]
)
def test_a_small_description_does_not_take_gigabytes(name: str, value: object, tmp_path: Path) -> None:
    """909 bytes of model.json once took 11 GB."""
    run = changed(a_run(tmp_path / "run"), **{ARGUMENTS + name: value})
    said, grown = measured(LOADING, run)
    assert "model.json and model.safetensors do not fit each other" in said and grown < 100


@pytest.mark.long
def test_no_number_in_a_description_takes_memory_or_time() -> None:
    """Every whole number of every class, replaced by hostile ones: loading stays below 1 GB and 10 seconds."""
    folder = HERE.parent / "contracts"
    done = subprocess.run(
        [sys.executable, "hostile_numbers.py"], cwd=folder, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *wrong, peak = done.stdout.splitlines()
    assert not wrong and int(peak) < 1024


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("fields__steps", 10**30, "steps is above"),
        ("fields__source__fields__shape", {"tuple": [10**6, 10**6]}, "shape has more than"),
        ("fields__steps", [[]] * 200_000, "more than 100000 values"),
    ],
)
def test_numbers_and_shapes_are_bounded(name: str, value: object, says: str, tmp_path: Path) -> None:
    run = changed(a_run(tmp_path / "run"), **{name: value})
    with pytest.raises(ValueError, match=says) as error:
        load(run)
    assert "\n" not in str(error.value) and "model.json" in str(error.value)


@pytest.mark.parametrize("build", [
    lambda: MLP((2,), width=8, depth=2, sees={"draft": (2,)}, classes=3),
    lambda: UNet((1, 8, 8), width=4, multiples=(1, 2), attention=(1,)),
    lambda: DiT((1, 8, 8), width=8, depth=2, heads=2),
    lambda: TokenTransformer(5, width=16, depth=2, heads=2, length=7),
])  # fmt: skip
def test_a_network_is_planned_without_memory_and_then_built_as_it_was(build: Any) -> None:
    network = build()
    for p in network.parameters():
        nn.init.normal_(p)
    again = rebuild(*config(network))
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in network.state_dict().items())
    buffers = dict(again.named_buffers())
    assert all(torch.equal(v, buffers[k]) for k, v in network.named_buffers()), "also the buffers that are in no file"


@pytest.mark.parametrize(
    "name",
    ["warmflow.cli:main", "warmflow.experiments.train:train_run", "warmflow.training:train", "warmflow.sources:Noise",
     "warmflow.commands.demo:demo", "warmflow/../os:system", "warmflow..os:system", "warmflow.sources.noise\0:x", 7, ["a"]],
)  # fmt: skip
def test_a_name_of_no_part_imports_nothing(name: object, tmp_path: Path) -> None:
    run = changed(a_run(tmp_path / "run"), fields__source={"class": name, "fields": {}})
    if name == "warmflow.commands.demo:demo":
        said, _ = measured(f"{LOADING}\nprint([m for m in sys.modules if m.startswith('warmflow.commands')])", run)
        assert said.endswith("\n[]")
    with pytest.raises(ValueError, match="which is not part of warmflow"):
        load(run)


# ---------------------------------------------------------------- pipelines


def pipeline_of(folder: Path, **told: object) -> Path:
    """A folder that looks like a pipeline."""
    folder.mkdir(parents=True)
    given = {
        "_class_name": "DDPMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDPMScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps({**given, **told}))
    return folder


@pytest.mark.parametrize("name", ["attacker/evil", "given", "pipe"])
def test_the_pipeline_of_a_strangers_run_is_not_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the description that older versions wrote, nor by that of this one; a user's pipeline is passed again."""
    run = a_run(tmp_path / "run")
    pipeline_of(run / "pipe")
    monkeypatch.setattr("warmflow.sources.pipeline.load_pipeline", lambda name: pytest.fail(f"{name} was opened"))
    monkeypatch.setattr("warmflow.sources.pipeline._cached_pipeline", lambda name: pytest.fail(f"{name} was opened"))
    fields = {"shape": {"tuple": [2]}, "steps": 1, "takes": {"set": []}}
    path = str(run / "pipe") if name == "pipe" else name
    for told in (path, {"given": "part.source.pipeline", "was": path}):
        source = {"class": "warmflow.sources.pipeline:DiffusersPipeline", "fields": {"pipeline": told, **fields}}
        changed(run, fields__source=source)
        with pytest.raises(
            ValueError, match=r"was made with the pipeline '.*': pass it again, pipeline=.* \(--pipeline NAME\)"
        ):
            sample_run(run, 2, tmp_path / "o.npy", steps=1, progress=False)
    mine = load(run, pipeline=lambda **_: None)
    assert isinstance(mine.source, DiffusersPipeline) and callable(mine.source.pipeline)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"_class_name": ["evil", "Evil"]}, "names no class of diffusers"),
        ({"unet": ["evil", "Net"]}, "its unet is of 'evil'"),
        ({"unet": ["os", "system"]}, "its unet is of 'os'"),
        ({}, r"brings code \(unet/evil.py\)"),
    ],
)
def test_a_pipeline_with_code_is_refused_before_diffusers_reads_it(
    told: dict[str, object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    folder = pipeline_of(tmp_path / "pipe", **told)
    (folder / "unet").mkdir()
    if not told:
        (folder / "unet" / "evil.py").write_text("raise SystemExit")
    monkeypatch.setattr(library.DiffusionPipeline, "from_pretrained", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=says) as error:
        load_pipeline(str(folder))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=says):
        check_plain(folder, "pipe")


def test_a_named_pipeline_is_loaded_without_code_and_from_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the hub too: it is fetched, checked as a folder, and only then loaded."""
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    folder, seen = pipeline_of(tmp_path / "pipe"), []

    class Loaded:
        def set_progress_bar_config(self, **_: object) -> None:
            pass

    def fetched(name: str, **options: object) -> str:
        seen.append((name, options))
        return str(folder)

    monkeypatch.setattr(library.DiffusionPipeline, "download", fetched)
    monkeypatch.setattr(
        library.DiffusionPipeline, "from_pretrained", lambda name, **o: seen.append((name, o)) or Loaded()
    )
    load_pipeline("some/name")
    assert seen == [
        ("some/name", {"use_safetensors": True}),
        (str(folder), {"use_safetensors": True, "local_files_only": True}),
    ]
    (folder / "evil.py").write_text("")
    with pytest.raises(ValueError, match=r"brings code \(evil.py\)"):
        load_pipeline("some/name")


def test_a_users_own_pipeline_run_is_loaded_with_its_name(tmp_path: Path) -> None:
    source = Blurred(DiffusersPipeline("mine", (2,), 1), 0.1)
    run = a_run(tmp_path / "run", source)
    with pytest.raises(ValueError, match="the pipeline 'mine': pass it again"):
        load(run)
    assert load(run, pipeline="mine").source.source.pipeline == "mine"


# ---------------------------------------------------------------- programs


class Echo(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


@pytest.mark.parametrize("trust", [False, 0, 1, "yes", None])
def test_torchscript_runs_only_with_trust(trust: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.jit.save(torch.jit.script(Echo()), tmp_path / "net.pt")
    assert Scripted.load(tmp_path / "net.pt", size=16, trust=True).features(torch.zeros(1, 3, 16, 16)).shape == (1, 768)
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(ValueError, match=r"can read and write your files: if you trust its author, give trust=True"):
        Scripted.load(tmp_path / "net.pt", size=16, trust=trust)


def test_no_command_or_run_folder_names_an_extractor() -> None:
    """The only callers of ``Scripted.load`` are the user's own."""
    source = Path(warmflow.__file__).parent
    users = [p.name for p in source.rglob("*.py") if "Scripted.load(" in p.read_text(encoding="utf-8")]
    assert users == ["scripted.py"]
    called = [p.name for p in source.rglob("*.py") if "torch.jit.load" in p.read_text(encoding="utf-8")]
    assert called == ["scripted.py"]


def test_nothing_is_unpickled() -> None:
    """``torch.load`` reads one file, of a known digest, and weights only; numpy's loader, which can unpickle, is not used."""
    source = Path(warmflow.__file__).parent
    text = {p.name: p.read_text(encoding="utf-8") for p in source.rglob("*.py")}
    loads = [line.strip() for t in text.values() for line in t.splitlines() if "torch.load(" in line]
    assert len(loads) == 1 and "_weights()" in loads[0] and "weights_only=True" in loads[0]
    assert not any("np.load(" in t or ".read_array(" in t for t in text.values()), (
        "arrays are read by data/array_files.py"
    )
    assert not any("import pickle" in t or "pickle.load" in t for t in text.values())


def test_loading_is_the_same_for_random_numbers(tmp_path: Path) -> None:
    run, before = a_run(tmp_path / "run"), torch.get_rng_state()
    sampler = load(run)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(sampler(3, seed=1).x, load(run)(3, seed=1).x) and Noise.of(0, 1).key.shape == (1,)
