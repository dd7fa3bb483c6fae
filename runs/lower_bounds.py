"""Prints the lower bound of each dependency in pyproject.toml as a pin, ``name==version``, one in each line.

The tools of the extras ``test`` and ``lint``, and the libraries of ``peers`` that benchmarks compare with, are left out.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

OPTIONAL = ("features", "diffusers", "hub")
BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)")


def pins(pyproject: Path) -> list[str]:
    """The pins of the dependencies, and of the extras in ``OPTIONAL``; ValueError for a dependency without a lower bound."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for key in OPTIONAL for one in extras.get(key, ()))]
    found = []
    for one in asked:
        bound = BOUND.fullmatch(one.replace(" ", ""))
        if bound is None:
            raise ValueError(f"the dependency {one!r} has no lower bound: write name>=version")
        found.append(f"{bound['name']}=={bound['version']}")
    return found


if __name__ == "__main__":
    print("\n".join(pins(Path(__file__).parent.parent / "pyproject.toml")))
