"""Bad input: one line that names the value and the remedy, exit code 2, no traceback, and nothing lost on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_images import image_calls, image_commands
from bad_input import Case, Place, call_cases, command_cases, everything, run, shared_runs
from bad_students import student_calls, student_commands, student_runs

pytestmark = pytest.mark.long

COMMANDS = [*command_cases(), *student_commands(), *image_commands()]
CALLS = [*call_cases(), *student_calls(), *image_calls()]
LONGEST = 400
BY_PROCESS = (
    "unknown problem",
    "--warm-start.t0 1.5",
    "sample of half a model",
    "runs of different updates",
    "compare of NaN data",
)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return student_runs(shared_runs(tmp_path_factory.mktemp("runs")))


@pytest.fixture
def place(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(shared, tmp_path)


def refused(case: Case, line: str) -> None:
    assert "\n" not in line, line
    assert 10 < len(line) < LONGEST, line
    assert case.says in line, line
    assert case.remedy in line, line


def test_there_are_enough_cases() -> None:
    names = [c.name for c in COMMANDS] + [c.name for c in CALLS]
    assert len(names) >= 70
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", COMMANDS, ids=lambda c: c.name)
def test_commands(case: Case, place: Place) -> None:
    args = case.make(place)
    before = everything(place.here, place.shared)
    code, out, err = run(args)
    assert code == 2, (code, out, err)
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    refused(case, lines[0])
    assert out == ""
    after = everything(place.here, place.shared)
    if case.leaves:
        assert {k: after.get(k) for k in before} == before
        assert not [k for k in after if k.endswith(".tmp")]
    else:
        assert after == before


@pytest.mark.parametrize("case", CALLS, ids=lambda c: c.name)
def test_calls(case: Case, place: Place) -> None:
    call = case.make(place)
    before = everything(place.shared)
    with pytest.raises(ValueError) as error:
        call()
    refused(case, str(error.value))
    assert everything(place.shared) == before
    assert not (place.here / "c").exists(), "a comparison was begun before its input was checked"


@pytest.mark.parametrize("case", [c for c in COMMANDS if c.name in BY_PROCESS], ids=lambda c: c.name)
def test_commands_in_a_process_of_their_own(case: Case, place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warmflow.cli", *case.make(place)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    refused(case, done.stderr.strip())
    assert done.stdout == ""


def test_a_divergence_keeps_the_weights_of_before(place: Place) -> None:
    """The message says at which step; the checkpoint is of the step before, and finite."""
    from warmflow.files import read_tensors

    case = next(c for c in COMMANDS if c.name == "a huge learning rate")
    _, _, err = run(case.make(place))
    step = int(err.split("at step ")[1].split(":")[0])
    tensors, facts = read_tensors(place.here / "run" / "checkpoint.safetensors")
    assert int(facts["step"]) == step - 1
    raw = {k: v for k, v in tensors.items() if ".raw." in k}
    assert raw and all(bool(v.isfinite().all()) for v in raw.values()), "the last good weights are not good"


def test_a_damaged_run_can_be_mended_as_the_message_says(place: Place) -> None:
    """Delete the file, run the same command again."""
    from bad_input import train

    folder = place.cut("warm0", "model.safetensors")
    (folder / "model.safetensors").unlink()
    train(folder, "warm-start", 0)
    sound = (place.shared / "warm0" / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == sound


def test_mixed_sizes_and_modes_are_fine_in_folders(place: Place) -> None:
    import numpy as np
    from PIL import Image

    from warmflow.data import load

    folder = place.images(200, broken=1)
    for mode in ("RGB", "RGBA", "L", "P", "1", "LA", "CMYK"):
        name = folder / f"mode{mode}.{'tiff' if mode == 'CMYK' else 'png'}"
        Image.fromarray(np.full((9, 14, 3), 90, np.uint8)).convert(mode).save(name)
    data = load(f"folder:{folder}", size=8)
    assert data.notes["read"] == 207 and data.notes["unreadable"] == 1
    assert data.shape == (3, 8, 8)
