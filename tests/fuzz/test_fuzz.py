"""Mutated files of run folders and of data: a value or one line, never a traceback, a hang, a gigabyte or a tag in a page.

A failing trial is replayed by ``python tests/fuzz/test_fuzz.py KIND SEED``, from the repository's root.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kinds
import pytest
import torch
import trials

FILES, DATA = 2_000, 1_000


@pytest.fixture(scope="module", autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The folders that are mutated, made once by the commands of users."""
    torch.set_num_threads(1)
    kinds.ready(tmp_path_factory.mktemp("base"))
    with kinds.shortened():
        yield


@pytest.mark.slow
def test_mutated_run_folders() -> None:
    found = kinds.trials_of(kinds.runs(), FILES)
    assert len(found) >= FILES
    faults = trials.faults(found)
    assert not faults, trials.described(faults)


@pytest.mark.slow
def test_mutated_data() -> None:
    found = kinds.trials_of(kinds.of_data(), DATA)
    assert len(found) >= DATA
    faults = trials.faults(found)
    assert not faults, trials.described(faults)


@pytest.mark.long
def test_some_mutated_files_of_each_kind() -> None:
    found = kinds.trials_of({**kinds.runs(), **kinds.of_data()}, 40, first=10**6)
    faults = trials.faults(found)
    assert not faults, trials.described(faults)


if __name__ == "__main__":
    kind, seed = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as place:
        kinds.ready(Path(place) / "base")
        (scratch := Path(place) / "trial").mkdir()
        with kinds.shortened():
            for name, act in {**kinds.runs(), **kinds.of_data()}[kind][1](scratch, seed):
                print(name, trials.tried(act) or "fine")
