"""Every example runs, in the small; what is said to be a change of ten lines is one; every block of docs/own_loop.md runs."""

import difflib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NEEDS = {
    "diffusers_unet": ["diffusers"], "lightning_module": ["lightning", "pytorch_lightning"], "torchcfm_after": ["torchcfm"],
    "torchcfm_before": ["torchcfm"],
}  # fmt: skip
"""For each example the libraries of which it needs one."""
PRINTS = {
    "plain_pytorch_before": "samples (64, 64)", "plain_pytorch": "samples (64, 64)", "torchcfm_before": "samples (1000, 2)",
    "torchcfm_after": "samples (1000, 2)", "lightning_module": "64 digits", "diffusers_unet": "64 digits",
    "judge_own_samples": "real samples", "distill_own_flow": "samples (64, 2), 1 network call each",
}  # fmt: skip


def found(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(PRINTS))
def test_runs(name, tmp_path):
    needed = NEEDS.get(name, [])
    if needed and not any(found(module) for module in needed):
        pytest.skip(f"{needed[0]} is not installed")
    words = [
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        "--quick",
        *([str(tmp_path / "out")] if "distill" in name else []),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    assert PRINTS[name] in run.stdout


def code(text):
    """The lines of code: without the module's docstring and blank lines."""
    return [line for line in re.sub(r'\A""".*?"""', "", text, flags=re.DOTALL).splitlines() if line.strip()]


def changed(before, after):
    """Lines that are changed, new or gone; a changed line counts once."""
    steps = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in steps if tag != "equal")


@pytest.mark.parametrize(
    ("before", "after"), [("plain_pytorch_before", "plain_pytorch"), ("torchcfm_before", "torchcfm_after")]
)
def test_a_warm_start_changes_at_most_ten_lines(before, after):
    one, two = (code((EXAMPLES / f"{name}.py").read_text()) for name in (before, after))
    assert 0 < changed(one, two) <= 10


def test_the_count_counts():
    assert changed(["a", "b", "c"], ["a", "x", "c", "d"]) == 2 and changed(["a", "b"], ["a"]) == 1


def blocks():
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own_loop.md").read_text(), flags=re.DOTALL)


@pytest.mark.long
def test_every_block_of_the_page_runs():
    names: dict[str, object] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for block in blocks():
            exec(compile(block.replace("epochs = 200", "epochs = 1"), "docs/own_loop.md", "exec"), names)
    assert tuple(names["samples"].x.shape) == (16, 64)  # type: ignore[attr-defined]


def test_the_page_shows_the_example():
    for block, name in zip(blocks()[:2], ("plain_pytorch_before", "plain_pytorch"), strict=True):
        script = code((EXAMPLES / f"{name}.py").read_text())
        kept = [line for line in script if not line.startswith(("import sys", "print("))]
        ours = [re.sub(r"EPOCHS = .*", "epochs = 200", line).replace("EPOCHS", "epochs") for line in kept]
        assert code(block) == ours
