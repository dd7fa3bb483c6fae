"""Run by tests/security in a process of its own: every whole number of the description of every class is made hostile.

Prints what took longer than ten seconds or raised an error that is not turned into one line, and the peak of memory in MB.
"""

import copy
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from examples import EXAMPLES, OWN, TOKEN_EXAMPLES
from warmflow.checkpoints import config, rebuild
from warmflow.strangers import DoesNotFit

HOSTILE = (10**30, 10**9, 2**24, 70_000, 20_000, 0, -1)
CLEAN = (DoesNotFit, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, AssertionError)


def numbers(value: object, at: tuple = ()) -> Iterator[tuple]:
    """Where the whole numbers are."""
    if type(value) is int:
        yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, more in pairs:
        yield from numbers(more, (*at, key))


def changed(described: object, at: tuple, value: int) -> object:
    found = copy.deepcopy(described)
    place = found
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return found


def peak_mb() -> float:
    """The peak of this program's own memory; ``ru_maxrss`` would begin with that of the process that has started it."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))[1]) / 1024


def main() -> None:
    tried = 0
    for kind, makes in {**EXAMPLES, **TOKEN_EXAMPLES}.items():
        for make in makes:
            try:
                described, tensors = config(make())
            except ValueError:
                continue  # no part of a run folder
            described = json.loads(json.dumps(described))
            for at in numbers(described):
                for value in HOSTILE:
                    began, tried = time.perf_counter(), tried + 1
                    try:
                        rebuild(changed(described, at, value), tensors, **OWN)
                    except CLEAN:
                        pass
                    except BaseException as error:
                        print(f"{kind.__name__} {at} {value}: {type(error).__name__} {error}")
                    if time.perf_counter() - began > 10:
                        print(f"{kind.__name__} {at} {value}: {time.perf_counter() - began:.0f} s")
    peak = peak_mb()
    print(f"tried {tried}, peak {peak:.0f} MB", file=sys.stderr)
    print(int(peak))


if __name__ == "__main__":
    main()
