"""Drafts rewritten by a stronger model: what is kept of the draft, and how likely the result is to a judge.

A trigram model writes drafts of 64 letters, a 6-gram model rewrites them (``Rewritten``), a 6-gram judge of another part of the
text says how likely they are. Compared: the plain rule from left to right (a look-ahead that knows nothing: order 1), and
look-ahead by an n-gram of order 3 or 4 with 1, 16 and 64 particles, at several strengths. Two to four minutes on one core.

WARMFLOW_DATA is the folder that holds text/enwiki_text8_style.txt (default ../shared/data).

python runs/rewriting.py [TEXTS]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.couplings import Rewritten
from warmflow.noise import Noise
from warmflow.sources import NGram

LENGTH, TRAIN, JUDGE = 64, 2_500_000, 300_000
LETTERS = " abcdefghijklmnopqrstuvwxyz"
TRIED = [  # strength, order of the look-ahead, particles
    (6, 1, 1), (6, 3, 1), (6, 3, 16), (6, 3, 64), (6, 4, 16),
    (4, 1, 1), (4, 3, 1), (4, 3, 16), (4, 3, 64), (4, 4, 16),
    (3, 1, 1), (3, 3, 1), (3, 3, 16), (3, 3, 64), (3, 4, 16),
]  # fmt: skip


def read() -> Tensor:
    path = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "text" / "enwiki_text8_style.txt"
    number = {symbol: i for i, symbol in enumerate(LETTERS)}
    return torch.tensor([number[c] for c in path.read_text(encoding="utf-8").rstrip("\n")])


def main(n: int = 1024) -> None:
    text = read()
    train, heldout, judged = text[:TRAIN], text[TRAIN:-JUDGE], text[-JUDGE:]

    def model(order: int, text: Tensor = train) -> NGram:
        return NGram.fit(text, vocabulary=27, order=order, length=LENGTH)

    draft, judge = model(3), model(6, judged)
    real = heldout[: len(heldout) // LENGTH * LENGTH].reshape(-1, LENGTH)[:n]
    batch, noise = Batch(torch.zeros(n, LENGTH, dtype=torch.int64)), Noise.of(0, n)

    def line(name: str, x: Tensor, kept: float | None, milliseconds: float | None = None) -> None:
        each = -judge.log_chances(x).mean(1)
        spent = "" if milliseconds is None else f"{milliseconds:9.1f}"
        share = "" if kept is None else f"{kept:.3f}"
        error = float(each.std()) / len(x) ** 0.5
        print(f"{name:44s} {share:>6s} {float(each.mean()):8.3f} +- {error:.3f} {spent}", flush=True)

    print(f"{'':44s} {'kept':>6s} {'nats a letter':>15s}   ms a text")
    drafts = draft.draw(n, noise=noise).x0
    line("draft (3-gram)", drafts, 1.0)
    line("real text", real, None)
    line("texts of the 6-gram itself", model(6).draw(n, noise=Noise.of(1, n)).x0, None)
    examples = []
    for strength, order, particles in TRIED:
        coupling = Rewritten(model(6), strength, model(order), particles)
        began = time.perf_counter()
        pair = coupling.pair(batch, draft, noise=noise)
        spent = 1e3 * (time.perf_counter() - began) / n
        name = "plain, left to right" if order == 1 else f"look-ahead of order {order}, {particles:2d} particles"
        line(f"strength {strength}, {name}", pair.x1, float((pair.x1 == pair.start.x0).double().mean()), spent)
        examples.append((f"{strength}, {order}, {particles}", pair.x1))
    for row in range(3):
        print(f"\n{'draft':>10s}  {written(drafts[row])}")
        for name, x in examples:
            print(f"{name:>10s}  {written(x[row])}")


def written(x: Tensor) -> str:
    return "".join(LETTERS[i] for i in x.tolist())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
