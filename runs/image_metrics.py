"""What the metrics of images say of sets whose answer is known, and what they cost.

python runs/image_metrics.py labels      # EfficientNet-Lite0 on CIFAR-10 without training, as it is and with planted mistakes
python runs/image_metrics.py interval    # how often the kernel distance's interval covers the true distance
python runs/image_metrics.py tables      # two halves of real images, and noise of rising strength
python runs/image_metrics.py published   # CIFAR-10's training images against its test images, at the setting that others measured
python runs/image_metrics.py cost        # seconds and memory of the neighbours of 10,000 rows against 10,000
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from warmflow.data.idx import fashion
from warmflow.image_table import final_table, markdown
from warmflow.metrics.extractors import Classified, EfficientNetLite0, efficientnet
from warmflow.metrics.features import train_classifier
from warmflow.metrics.kid import KID
from warmflow.metrics.neighbours import Balls, neighbours

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from photographs import IMAGENET, cifar10, cifar10_test

SIGMAS = (8, 16, 32, 64)


def labels(size: int = 112, n: int = 200) -> None:
    x, label = cifar10_test(n)

    def right(extractor: EfficientNetLite0) -> float:
        chances = extractor.logits(x).softmax(1)
        found = torch.stack([chances[:, rows].sum(1) for rows in IMAGENET.values()], 1).argmax(1)
        return float((found == label).double().mean())

    inner = efficientnet.Lite0.forward
    plain = EfficientNetLite0.load(size)
    print(f"as it is: {right(plain):.1%} of {n} at {size} px")
    with mock.patch.object(efficientnet, "same_padding", lambda n, kernel, stride: (kernel // 2, kernel // 2)):
        print(f"padding as torch does it: {right(plain):.1%}")
    with mock.patch.object(efficientnet.Lite0, "forward", lambda self, p: inner(self, p.flip(1))):
        print(f"blue for red: {right(plain):.1%}")
    with mock.patch.object(efficientnet.Lite0, "forward", lambda self, p: inner(self, p / 255)):
        print(f"pictures in 0 to 1/255: {right(plain):.1%}")
    for module in plain.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5
    print(f"epsilon of the norms 1e-5: {right(plain):.1%}")


def interval(draws: int = 1000, n: int = 200) -> None:
    for d, shift in ((20, 0.0), (1, 0.0), (1, 0.3)):
        random, covered = np.random.default_rng(5), []
        truth = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2  # of the three moments, where d is 1
        for _ in range(draws):
            a, b = (torch.from_numpy(random.standard_normal((n, d))) for _ in range(2))
            found = KID().estimate(a, b + shift)
            covered.append(found.low <= truth <= found.high)
        print(
            f"{d} features, shift {shift}, ten subsets of {n // 10}: covered in {np.mean(covered):.1%} of {draws}",
            flush=True,
        )


def noisy(x: Tensor, sigma: int) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(sigma))
    return (x + noise * sigma / 127.5).clamp(-1, 1)


def tables(n: int = 300, size: int = 64, clothes: int = 2000) -> None:
    data = fashion(most=5_000)
    classifier = train_classifier(data.train.x1, data.train.condition["label"], classes=10, seed=0, steps=400)
    cases = ((Classified(classifier, "Fashion-MNIST"), data.heldout.x1[: 2 * clothes]),
             (EfficientNetLite0.load(size), cifar10_test(2 * n)[0]))  # fmt: skip
    for extractor, x in cases:
        real, half = x.chunk(2)
        sets = {"other half": half, **{f"with noise of {s} / 255": noisy(half, s) for s in SIGMAS}}
        print(markdown(final_table(real, sets, extractor)), flush=True)


def published(n: int = 3000, size: int = 128) -> None:
    train, test = cifar10(0, n)[0], cifar10_test(n)[0]
    sets = {"test": test, "with noise of 16 / 255": noisy(test, 16), "with noise of 64 / 255": noisy(test, 64)}
    print(markdown(final_table(train, sets, EfficientNetLite0.load(size))))


def cost(n: int = 10_000, d: int = 256) -> None:
    a, b = (torch.randn(n, d, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (0, 1))
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = neighbours(Balls.of(a), Balls.of(b))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu, more = after.ru_utime - before.ru_utime, (after.ru_maxrss - before.ru_maxrss) / 1024
    wall = time.perf_counter() - began
    print(f"{n} x {n} rows of {d}: {cpu:.0f} s of one core ({wall:.0f} on the wall), {more:.0f} MiB more")
    print(found)


if __name__ == "__main__":
    {"labels": labels, "interval": interval, "tables": tables, "published": published, "cost": cost}[sys.argv[1]]()
