"""Drafts beside each other before any flow is trained: how far each is from real images, and what it costs.

python runs/drafts.py OUT --recipe images.fashion --draft mixture --draft vae --draft gan

Trained drafts are trained at their defaults, in OUT/NAME, and resume. Distances are taken to the *validation* part, so that
a draft may be chosen by them. Writes OUT/drafts.md and a sheet of each, OUT/NAME.png.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from warmflow.checkpoints import make_folder
from warmflow.comparison import trained_seconds
from warmflow.noise import Noise
from warmflow.recipes.build import plan_for
from warmflow.recipes.measures import ruler_for
from warmflow.single import picture


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", default="images.fashion", show_default=True)
@click.option("--draft", "drafts", multiple=True, default=("mixture", "vae", "gan"), show_default=True)
@click.option("--samples", default=2000, show_default=True)
def main(out: Path, recipe: str, drafts: tuple[str, ...], samples: int) -> None:
    make_folder(out)
    plan = plan_for(recipe, samples=samples)
    assert plan.data.validation is not None
    ruler, _ = ruler_for(replace(plan.data, heldout=plan.data.validation), samples)
    n, names = ruler.samples, [metric.name for metric in ruler.metrics]
    lines = [
        f"{recipe}, {n:,} drafts against the validation part; distances times 1,000, margins "
        + ", ".join(f"{name} {1e3 * ruler.margin(name):.2f}" for name in names),
        "",
        "| draft | " + " | ".join(names) + " | class variation | copies | made in, s | us a draft |",
        "|---|" + "---|" * (len(names) + 4),
    ]
    for name in drafts:
        began = time.perf_counter()
        source = plan_for(recipe, name, samples=samples).draft(out / name, True)
        made = max(time.perf_counter() - began, trained_seconds(out / name))
        for seed in (0, 1):
            began = time.perf_counter()
            x = plan.clip(source.draw(n, noise=Noise.of(seed, n)).x0)
            each = (time.perf_counter() - began) / n
            found = ruler.measure(x)
            far = " | ".join(f"{1e3 * found.distance[metric]:.2f}" for metric in names)
            lines.append(
                f"| {name} | {far} | {found.variation:.3f} | {found.copying_share:.4f} | {made:.0f} | {1e6 * each:.0f} |"
            )
        picture(x[:64], out / f"{name}.png")
    text = "\n".join(lines) + "\n"
    (out / "drafts.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
