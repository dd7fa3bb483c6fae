"""Small real run folders, made by the commands that users type, from which the fuzz tests make mutated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warmflow.cli import main

MOONS = ["moons", "--train", "300", "--heldout", "300", "--updates", "10", "--width", "8", "--depth", "1", "--quiet"]
QUICK = ["--warm-start.rounds", "1", "--warm-start.block", "300"]


def typed(*words: str) -> None:
    """Runs a command that must succeed."""
    assert main(list(words)) == 0, words


def texts(path: Path, lines: int = 800) -> str:
    """A file of words from which windows are cut."""
    rng = np.random.default_rng(0)
    words = ["ab", "bead", "cab", "dad", "add", "bed"]
    path.write_text("\n".join(" ".join(rng.choice(words, 8)) for _ in range(lines)) + "\n", encoding="utf-8")
    return str(path)


def sample_sets(root: Path) -> list[str]:
    """Files of samples, and the words of ``warmflow evaluate`` about them."""
    rng = np.random.default_rng(0)
    root.mkdir()
    np.save(root / "real.npy", rng.normal(size=(300, 2)).astype("f4"))
    said = ["--real", str(root / "real.npy")]
    for role, name, far in (("--baseline", "cold", 0.4), ("--candidate", "warm", 0.2)):
        for calls in (1, 2):
            for seed in (0, 1):
                path = root / f"{name}-{calls}-{seed}.npy"
                np.save(path, (rng.normal(size=(200, 2)) + far / calls).astype("f4"))
                said += [role, f"{name}:{calls}@{seed}={path}"]
    return said


def made(root: Path) -> dict[str, Path]:
    """Finished folders by name: flows of points, of labelled images, of texts and of a grid, a comparison, a student, an
    evaluation of files."""
    root.mkdir(parents=True, exist_ok=True)
    found = {name: root / name for name in ("warm", "cold", "labels", "text", "grid", "compare", "student", "files")}
    small = ["--updates", "4", "--batch", "16", "--quiet"]
    typed("train", *MOONS, *QUICK, "--method", "warm-start", "--out", str(found["warm"]))
    typed("train", *MOONS, "--method", "cold", "--out", str(found["cold"]))
    typed("train", "digits", "--method", "cold", "--conditional", *small, "--out", str(found["labels"]))
    typed("train", "text", "--path", texts(root / "text.txt"), "--length", "8", "--width", "16", "--depth", "1", *small,
          "--method", "cold", "--out", str(found["text"]))  # fmt: skip
    typed("train", "grid", "--width", "16", "--depth", "1", *small, "--method", "cold", "--out", str(found["grid"]))
    typed(
        "compare",
        *MOONS,
        *QUICK,
        "--seeds",
        "2",
        "--calls",
        "1,2,4",
        "--samples",
        "200",
        "--out",
        str(found["compare"]),
    )
    typed("distill", str(found["cold"]), "--updates", "6", "--no-reflow", "--no-report", "--quiet",
          "--out", str(found["student"]))  # fmt: skip
    typed("evaluate", *sample_sets(root / "sets"), "--quiet", "--out", str(found["files"]))
    return found
