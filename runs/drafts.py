"""Drafts beside each other before any flow is trained: how far each is from real images, and what it costs.

python runs/drafts.py OUT --recipe images.fashion --draft mixture --draft vae --draft gan

Trained drafts are trained at their defaults, in OUT/NAME, and resume. Everything is measured against the *validation* part, so
that a draft may be chosen by it: n_eq, the number of real images whose empirical distribution is as far away, and the distance.
Writes OUT/drafts.md and a sheet of each, OUT/NAME.png.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from warmflow.checkpoints import make_folder
from warmflow.evaluation.sentences import rounded
from warmflow.experiments.prepare import trained_seconds
from warmflow.experiments.single_runs import picture
from warmflow.noise import Noise
from warmflow.recipes.build import plan_for
from warmflow.problems.measures import real_data


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", default="images.fashion", show_default=True)
@click.option("--draft", "drafts", multiple=True, default=("mixture", "vae", "gan"), show_default=True)
@click.option("--samples", default=2000, show_default=True)
def main(out: Path, recipe: str, drafts: tuple[str, ...], samples: int) -> None:
    make_folder(out)
    plan = plan_for(recipe, samples=samples)
    assert plan.data.validation is not None
    part = replace(plan.data, heldout=plan.data.validation, validation=None)
    real, _ = real_data(part, samples)
    facts = {m.name: m for m in real.metric_facts}
    lines = [
        f"{recipe}, {samples:,} drafts against {real.facts.test:,} images of the validation part: n_eq (distance times 1,000)",
        "",
        "| draft | " + " | ".join(facts) + " | class variation | copies | made in, s | us a draft |",
        "|---|" + "---|" * (len(facts) + 4),
    ]
    for name in drafts:
        began = time.perf_counter()
        source = plan_for(recipe, name, samples=samples).draft(out / name, True)
        made = max(time.perf_counter() - began, trained_seconds(out / name))
        for seed in (0, 1):
            began = time.perf_counter()
            x = plan.clip(source.draw(samples, noise=Noise.of(seed, samples)).x0)
            each = (time.perf_counter() - began) / samples
            found = real.measure(x)
            far = " | ".join(
                f"{rounded(facts[metric].scatter / d) if d > 0 else 'inf'} ({1e3 * d:.2f})"
                for metric, d in found.distance.items()
            )
            assert found.classes is not None and real.facts.shares is not None and found.copies is not None
            p, q = found.classes / found.classes.sum(), real.facts.shares / real.facts.shares.sum()
            variation, copies = float((p - q).abs().sum() / 2), float(found.copies[0])
            lines.append(f"| {name} | {far} | {variation:.3f} | {copies:.4f} | {made:.0f} | {1e6 * each:.0f} |")
        picture(x[:64], out / f"{name}.png")
    text = "\n".join(lines) + "\n"
    (out / "drafts.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
