"""Samples that warmflow has not made: torchcfm's and diffusers' own training and sampling, judged by the command line from
folders of images and by ``warmflow.evaluate`` from the same tensors. Both verdicts are printed, and whether they are equal.

python runs/foreign.py OUT        # about three minutes of one core; needs the extras peers and diffusers

    I-CFM, OT-CFM   torchcfm's matchers, a perceptron, torchdiffeq's Euler solver, as in torchcfm's README
    DDIM            diffusers' UNet2DModel trained on its DDPMScheduler's noise, sampled by its DDIMPipeline

The data are scikit-learn's digits; the baseline is I-CFM. The networks are tiny and trained for seconds: the verdict is about
these, not about the methods.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cyclopts
import torch
from PIL import Image
from torch import Tensor, nn

sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # diffusers needs none of it, and builds may not fit torch

CALLS = (1, 2, 4, 8, 16)
SEEDS = (0, 1, 2)
SAMPLES = 400
REAL = 700


def digits() -> tuple[Tensor, Tensor]:
    """Real and training digits (n, 1, 8, 8) in [-1, 1]."""
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images).float()[:, None] / 8 - 1
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[:REAL], x[REAL:]


def torchcfm_samples(train: Tensor, seed: int, matcher: str, updates: int) -> dict[int, Tensor]:
    """Samples by number of calls of a flow trained by torchcfm."""
    import torchcfm
    from torchdiffeq import odeint

    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(65, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    flow = getattr(torchcfm, matcher)(sigma=0.0)
    data = train.flatten(1)
    for _ in range(updates):
        x1 = data[torch.randint(len(data), (128,))]
        t, xt, ut = flow.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        loss = (network(torch.cat([xt, t[:, None]], 1)) - ut).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def velocity(t: Tensor, x: Tensor) -> Tensor:
        return network(torch.cat([x, t.expand(len(x), 1)], 1))

    with torch.no_grad():
        return {
            k: odeint(velocity, torch.randn(SAMPLES, 64), torch.linspace(0, 1, k + 1), method="euler")[-1].reshape(
                -1, 1, 8, 8
            )
            for k in CALLS
        }


def diffusers_samples(train: Tensor, seed: int, updates: int) -> dict[int, Tensor]:
    """Samples by number of calls of a diffusers pipeline."""
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMScheduler, UNet2DModel

    torch.manual_seed(seed)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    network = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(16, 32), norm_num_groups=8, **blocks
    )  # fmt: skip
    noising = DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(updates):
        x = train[torch.randint(len(train), (64,))]
        noise, t = torch.randn_like(x), torch.randint(1000, (64,))
        loss = (network(noising.add_noise(x, noise, t), t).sample - noise).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pipeline = DDIMPipeline(network.eval(), DDIMScheduler.from_config(noising.config))
    pipeline.set_progress_bar_config(disable=True)
    found = {}
    for k in CALLS:
        images = pipeline(
            batch_size=SAMPLES, num_inference_steps=k, output_type="np", generator=torch.Generator().manual_seed(seed)
        ).images
        found[k] = torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1
    return found


def to_bytes(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def write(x: Tensor, folder: Path) -> None:
    """uint8 images (n, 1, H, W) as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(x[:, 0].numpy()):
        Image.fromarray(image).save(folder / f"{i}.png")


def main(out: Path, *, updates: int = 1500) -> None:
    """Train, sample, write folders, judge twice.

    Args:
        updates: of torchcfm's flows; a fifth of it of the UNet.
    """
    real, train = digits()
    sets: dict[str, dict[int, dict[int, Tensor]]] = {"i-cfm": {}, "ot-cfm": {}, "ddim": {}}
    for seed in SEEDS:
        sets["i-cfm"][seed] = torchcfm_samples(train, seed, "ConditionalFlowMatcher", updates)
        sets["ot-cfm"][seed] = torchcfm_samples(train, seed, "ExactOptimalTransportConditionalFlowMatcher", updates)
        sets["ddim"][seed] = diffusers_samples(train, seed, updates // 5)
        print(f"seed {seed} is trained and sampled")
    rounded = {n: {s: {k: to_bytes(x) for k, x in by.items()} for s, by in seeds.items()} for n, seeds in sets.items()}
    for name, x in (("real", real), ("train", train)):
        write(to_bytes(x), out / name)
    for name, seeds in rounded.items():
        for seed, by_calls in seeds.items():
            for k, x in by_calls.items():
                write(x, out / name / f"{k}@{seed}")
    words = [
        "--real", out / "real", "--train", out / "train", "--baseline", f"i-cfm={out / 'i-cfm'}", "--items", "digits",
    ]  # fmt: skip
    words += [w for name in ("ot-cfm", "ddim") for w in ("--candidate", f"{name}={out / name}")]
    done = subprocess.run(
        [sys.executable, "-m", "warmflow.cli", "evaluate", *map(str, words), "--out", str(out / "verdict"), "--quiet"],
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    print(f"\nThe command line, exit code {done.returncode}:\n{done.stdout}{done.stderr}")

    from warmflow import Extras, evaluate
    from warmflow.data.images import from_uint8
    from warmflow.evaluation.record import verdict_json

    floats = {
        n: {s: {k: from_uint8(x) for k, x in by.items()} for s, by in seeds.items()} for n, seeds in rounded.items()
    }
    found = evaluate(
        from_uint8(to_bytes(real)), baseline={"i-cfm": floats.pop("i-cfm")}, candidates=floats,
        train=from_uint8(to_bytes(train)), extras=Extras(items="digits"),
    )  # fmt: skip
    print(f"Python:\n{found}")
    ours, theirs = (
        json.loads(json.dumps(verdict_json(found))),
        json.loads((out / "verdict" / "verdict.json").read_text(encoding="utf-8")),
    )
    print(f"\nequal, number for number: {ours == theirs}")
    if ours != theirs:
        sys.exit(1)


if __name__ == "__main__":
    cyclopts.run(main)
