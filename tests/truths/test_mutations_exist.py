"""The script of mutants has not rotted: every string that it replaces stands in the source exactly once."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("mutations", ROOT / "tests" / "mutations.py")
mutations = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutations)


@pytest.mark.parametrize("mutant", mutations.MUTANTS, ids=lambda m: m[0])
def test_a_mutation_can_be_planted_and_compiles(mutant):
    name, file, old, new, which = mutant
    text = (ROOT / "src" / "warmflow" / file).read_text()
    compile(mutations.mutated(text, old, new, file), file, "exec")
    assert which and all((ROOT / test.split("::")[0]).exists() for test in which), name
    assert len({m[0] for m in mutations.MUTANTS}) == len(mutations.MUTANTS)
