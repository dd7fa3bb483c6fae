"""Bad input of tokens and texts: one line that names the value and the remedy, exit code 2, nothing lost."""

from __future__ import annotations

import pytest
from bad_input import Case, Place, everything, run
from bad_text import text_calls, text_commands
from test_bad_input import place, refused, shared  # noqa: F401

pytestmark = pytest.mark.long

COMMANDS, CALLS = list(text_commands()), list(text_calls())


def test_there_are_enough_cases_of_text() -> None:
    names = [c.name for c in COMMANDS] + [c.name for c in CALLS]
    assert len(names) >= 30 and len(set(names)) == len(names)


@pytest.mark.parametrize("case", COMMANDS, ids=lambda c: c.name)
def test_commands_on_texts(case: Case, place: Place) -> None:  # noqa: F811
    args = case.make(place)
    before = everything(place.here, place.shared)
    code, out, err = run(args)
    assert code == 2, (code, out, err)
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    refused(case, lines[0])
    assert out == "" and everything(place.here, place.shared) == before


@pytest.mark.parametrize("case", CALLS, ids=lambda c: c.name)
def test_calls_on_texts(case: Case, place: Place) -> None:  # noqa: F811
    call = case.make(place)
    with pytest.raises(ValueError) as caught:
        call()
    refused(case, str(caught.value))
