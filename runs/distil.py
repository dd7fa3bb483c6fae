"""Students of one call beside their teachers: a recipe, its arms as teachers, five seeds each, one verdict an arm.

python runs/distil.py OUT RECIPE ARMS [SEEDS] [--setting value ...] [-- distillation's --setting value ...]

python runs/distil.py runs/out/mixture toy.eight_gaussians cold,warm 5 -- --updates 6000 --online-updates 2 --learning-rate 1e-3
python runs/distil.py runs/out/students images.digits cold,warm 5 -- --updates 3000
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "warmflow.cli", *arguments], check=True)


def one(out: Path, recipe: str, arm: str, seed: int, flow: list[str], student: list[str]) -> Path:
    teacher, made = out / f"{arm}-{seed}", out / f"{arm}-{seed}-student"
    run("train", recipe, *flow, "--arm", arm, "--seed", str(seed), "--threads", "1", "--quiet", "--out", str(teacher))
    run("distill", str(teacher), *student, "--seed", str(seed), "--threads", "1", "--quiet", "--out", str(made))
    return made


def main(out: str, recipe: str, arms: str, seeds: str = "5", *rest: str) -> None:
    cut = rest.index("--") if "--" in rest else len(rest)
    flow, student = list(rest[:cut]), list(rest[cut + 1 :])
    with ThreadPoolExecutor(2) as pool:
        tasks = {arm: [pool.submit(one, Path(out), recipe, arm, s, flow, student) for s in range(int(seeds))]
                 for arm in arms.split(",")}  # fmt: skip
        for arm, waiting in tasks.items():
            students = [str(task.result()) for task in waiting]
            print(f"\n{arm}", flush=True)
            run("compare", *students, "--quiet", "--out", str(Path(out) / arm))


if __name__ == "__main__":
    main(*sys.argv[1:])
