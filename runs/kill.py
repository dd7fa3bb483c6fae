"""Kills a training run at random moments and completes it: every time the result must equal an uninterrupted run's.

    python runs/kill.py [MOMENTS] [UPDATES] [SEED]

Each of the MOMENTS (20) is a fresh run of UPDATES (3000) updates, killed with SIGKILL at a moment drawn uniformly from the
whole command's duration, then run again and compared: weights, averages, optimiser's moments, log. Ends with one line.
"""

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("src", "tests/truths")]
from test_processes import check_equal, complete, killed  # noqa: E402


def main(moments: int = 20, updates: int = 3000, seed: int = 0) -> int:
    chance, failed, alive = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as here:
        began = time.perf_counter()
        complete(Path(here) / "whole", updates=updates)
        seconds = time.perf_counter() - began
        for k in range(moments):
            folder, after = Path(here) / f"cut-{k}", chance.uniform(0, seconds)
            alive += killed(folder, after, updates=updates)
            try:
                complete(folder, updates=updates)
                check_equal(Path(here) / "whole", folder)
                said = "equal"
            except (AssertionError, OSError, KeyError) as error:
                failed.append(k)
                said = f"DIFFERS: {' '.join(str(error).split())[-200:]}"
            print(f"{k + 1:3d} of {moments}: killed after {after:5.2f} of {seconds:.2f} s: {said}", flush=True)
            shutil.rmtree(folder)
    print(
        f"{moments} kills ({alive} while running), {moments - len(failed)} completed bit for bit, {len(failed)} did not"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
