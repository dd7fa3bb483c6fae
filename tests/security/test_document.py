"""docs/security.md names tests that exist, and the lower bounds of dependencies can be tested."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def bounds() -> ModuleType:
    """The script that prints the lower bounds."""
    spec = importlib.util.spec_from_file_location("lower_bounds", ROOT / "runs" / "lower_bounds.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_promise_has_tests_that_exist() -> None:
    document = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    defined = {name for file in (ROOT / "tests").rglob("test_*.py")
               for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)}  # fmt: skip
    named = set(re.findall(r"`(test_\w+)`", document))
    assert len(named) > 30 and named <= defined, named - defined
    table = [line for line in document.splitlines() if line.startswith("| ")][1:]
    assert len(table) > 12 and all("`test_" in line.split("|")[3] for line in table)
    for file in (ROOT / "README.md", ROOT / "docs" / "architecture.md"):
        assert "security.md" in file.read_text(encoding="utf-8")


def test_every_dependency_has_a_lower_bound(tmp_path: Path) -> None:
    pins = bounds().pins(ROOT / "pyproject.toml")
    assert len(pins) >= 15 and all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9.]+", pin) for pin in pins)
    assert "datasets==4" in pins, "the first version that runs no script"
    other = tmp_path / "pyproject.toml"
    other.write_text('[project]\ndependencies = ["torch"]\n[project.optional-dependencies]\n')
    with pytest.raises(ValueError, match="the dependency 'torch' has no lower bound"):
        bounds().pins(other)


def test_the_script_of_lower_bounds_is_a_script() -> None:
    done = subprocess.run(["bash", "-n", str(ROOT / "runs" / "lower_bounds.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
