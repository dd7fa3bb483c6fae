"""Drafts beside each other before any flow is trained: how far each is from real images, and what it costs.

python runs/drafts.py OUT --problem fashion-mnist --drafts mixture,vae,gan

Trained drafts are trained with their default options, in OUT/NAME; a run that was cut off goes on. Everything is measured against
the *validation* part, so that a draft may be chosen by it: n_eq, the number of real images whose empirical distribution is as far
away, and the distance. Writes OUT/drafts.md and a sheet of each, OUT/NAME.png.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cyclopts
from PIL import Image

from warmflow.drafts import Place, draft_of, fitted
from warmflow.evaluation.sentences import rounded
from warmflow.files import make_folder
from warmflow.methods.parts import trained_seconds
from warmflow.noise import Noise
from warmflow.problems import problem_of
from warmflow.problems.measures import real_data
from warmflow.report.pictures import grid


def main(out: Path, *, problem: str = "fashion-mnist", drafts: str = "mixture,vae,gan", samples: int = 2000) -> None:
    """How far drafts are from real images, and what they cost."""
    make_folder(out)
    setup = problem_of(problem).setup()
    data = setup.data
    if data.validation is None or data.kind != "images":
        raise SystemExit(f"{problem} has no images in a validation part")
    real, _ = real_data(replace(data, heldout=data.validation, validation=None), samples)
    facts = {m.name: m for m in real.metric_facts}
    lines = [
        f"{problem}, {samples:,} drafts against {real.facts.test:,} images of the validation part: n_eq (distance times 1,000)",
        "",
        "| draft | " + " | ".join(facts) + " | class variation | copies | made in, s | us a draft |",
        "|---|" + "---|" * (len(facts) + 4),
    ]
    for name in drafts.split(","):
        began = time.perf_counter()
        source = fitted(draft_of(name), setup, Place(out / name, 0, True))
        made = max(time.perf_counter() - began, trained_seconds(out / name))
        for seed in (0, 1):
            began = time.perf_counter()
            x = setup.clip(source.draw(samples, noise=Noise.of(seed, samples)).x0)
            each = (time.perf_counter() - began) / samples
            found = real.measure(x)
            far = " | ".join(
                f"{rounded((facts[metric].scatter or 0) / d) if d > 0 else 'inf'} ({1e3 * d:.2f})"
                for metric, d in found.distance.items()
            )
            assert found.classes is not None and real.facts.shares is not None and found.copies is not None
            p, q = found.classes / found.classes.sum(), real.facts.shares / real.facts.shares.sum()
            variation, copies = float((p - q).abs().sum() / 2), float(found.copies[0])
            lines.append(f"| {name} | {far} | {variation:.3f} | {copies:.4f} | {made:.0f} | {1e6 * each:.0f} |")
        Image.fromarray(grid(x[:64].numpy())).save(out / f"{name}.png")
    text = "\n".join(lines) + "\n"
    (out / "drafts.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    cyclopts.run(main)
