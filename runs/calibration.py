"""Calibration of the verdict: how often it claims more than is true, and how much of what is true it finds.

    python runs/calibration.py SECTION OUT --studies 1000 [--part 1/2]     cut off, the same command continues
    python runs/calibration.py show OUT                                    the table, with Wilson intervals

    model     distances drawn from a model of curves, training noise, noise of rows and of the real set
    real      samples with planted distances (shifted Gaussians in 8 dimensions), measured by MMD against real data
    solvers   the same, a baseline with three solvers of which one is chosen on validation samples
    more      the same at 1,000, 3,000 and 10,000 samples
    walks     an exact field that is integrated by the library's sampler; the candidate's call does the work of 2, 4 or 8
    planner   pilots of 3 seeds, the plan, and studies with the seeds and samples that it asks for: of the model of curves,
              of planted samples, and of walks of an exact field

A claim is *over* where the certified rate is above the true one: the fewest whole calls at which the baseline's true distance is
at most the candidate's at the quoted row, divided by that row's calls.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from warmflow.evaluation.curves import Curve
from warmflow.evaluation.exchange import Exchange, Rules, exchanges, quoted
from warmflow.evaluation.planner import plan_of
from warmflow.evaluation.real import RealData
from warmflow.evaluation.rows import CHOSEN_AT, GRID, best_solver
from warmflow.metrics.mmd import MMD, _own_term, mmd_for
from warmflow.metrics.resampled import resampling_counts

CALLS = np.array(GRID, dtype=float)
Truth = Callable[[float], float]
Result = dict[str, float | str | None]


def falling(limit: float, a: float = 12.0, p: float = 1.5, speed: float = 1.0) -> Truth:
    """The distance limit + a / (calls * speed)^p."""
    return lambda calls: limit + a / (calls * speed) ** p


def true_calls(baseline: Truth, distance: float) -> float:
    """The fewest whole calls at which the baseline is as near."""
    return next((float(c) for c in range(1, int(CALLS[-1]) + 1) if baseline(c) <= distance + 1e-9), math.inf)


def result(best: Exchange | None, candidate: Truth, baselines: list[Truth]) -> Result:
    """The claim and the truth; infinity is null."""
    if best is None:
        return {"rate": 0.0, "truth": 0.0, "calls": None}
    needed = min(true_calls(b, candidate(best.calls)) for b in baselines)
    truth = needed / best.calls
    over = best.rate > truth + 1e-9
    return {
        "rate": best.rate if math.isfinite(best.rate) else None,
        "truth": truth if math.isfinite(truth) else None,
        "calls": best.calls,
        "over": float(over),
        "above": float(best.rate > 1),
    }


# ---------------------------------------------------------------- a model of curves


@dataclass(frozen=True)
class Model:
    """What a synthetic study is drawn from, in units of version 1's margin.

    Args:
        training: sd of a seed's own shift of its whole curve; ``row`` of each row's own noise; ``real`` of the real set's.
        baselines, metrics: how many of each.
        still: the baselines have no noise of training, beside a candidate that has.
    """

    limit: float = 1.0
    speed: float = 1.0
    seeds: int = 5
    training: float = 0.3
    row: float = 0.03
    real: float = 0.2
    baselines: int = 1
    metrics: int = 1
    samples: int = 1
    still: bool = False

    def names(self) -> tuple[str, ...]:
        return tuple("mn"[: self.metrics])


def synthetic(model: Model, generator: np.random.Generator, seeds: int = 0, samples: int = 1) -> list[Curve]:
    """The candidate's curve and the baselines'; noise of rows and of the validation set falls with the number of samples."""
    k = seeds or model.seeds
    row = model.row / math.sqrt(samples)
    z, zv, zr = (generator.standard_normal(n) for n in (model.metrics, model.metrics, (model.metrics, 100)))
    found = []
    for name in ("warm", *(f"cold{i}" for i in range(model.baselines))):
        true = np.array([falling(model.limit, speed=model.speed if name == "warm" else 1.0)(c) for c in CALLS])
        size = np.sqrt(np.maximum(true, 0.05))
        noisy = name == "warm" or not model.still
        seed = model.training * noisy * generator.standard_normal((k, 1))
        values, replicates, validation = {}, {}, {}
        for j, m in enumerate(model.names()):
            noise = seed + row * generator.standard_normal((k, len(CALLS)))
            values[m] = true + noise + model.real * size * z[j]
            replicates[m] = values[m].mean(0)[:, None] + model.real * size[:, None] * zr[j][None]
            other = row * math.sqrt(3 / k) * generator.standard_normal(len(CALLS))
            validation[m] = true + seed.mean() + other + model.real * size * zv[j]
        found.append(Curve(name, CALLS.astype(int), CALLS, values, replicates, validation))
    return found


def model_study(model: Model, generator: np.random.Generator, seeds: int = 0, samples: int = 1) -> Result:
    candidate, *baselines = synthetic(model, generator, seeds, samples)
    best = quoted(exchanges(candidate, baselines, Rules(floor=dict.fromkeys(model.names(), 0.02))))
    return result(best, falling(model.limit, speed=model.speed), [falling(model.limit)] * model.baselines)


def model_settings() -> Iterator[tuple[str, Model]]:
    for limit, k, sd, speed in itertools.product((0, 1, 3, 6), (3, 5), (0.0, 0.3), (1, 2, 4, 8)):
        for nb, nm in ((1, 1), (3, 1), (1, 2), (3, 2)) if speed == 1 else ((1, 1), (3, 2)):
            yield (
                f"D {limit} k {k} training {sd} speed {speed} baselines {nb} metrics {nm}",
                Model(limit, speed, k, sd, baselines=nb, metrics=nm),
            )
    for k, nm in itertools.product((2, 3, 5), (1, 2)):
        if k == 2:
            yield f"D 1 k 2 training 0.3 speed 1 baselines 1 metrics {nm}", Model(1, 1, 2, 0.3, metrics=nm)
        yield (
            f"D 1 k {k} training 0.3 speed 1 baselines 1 metrics {nm} still",
            Model(1, 1, k, 0.3, metrics=nm, still=True),
        )
    for k, row in itertools.product((3, 5), (0.01, 0.1, 0.3)):  # rows with noise of their own alone
        yield f"D 1 k {k} training 0.0 speed 1 rows {row}", Model(1, 1, k, 0.0, row=row)


# ---------------------------------------------------------------- samples with planted distances


DIMENSION, TEST, VALIDATION, TRAIN = 8, 600, 300, 1_000
SHIFTS = np.linspace(0, 6, 6_001)


def squared_mmd(shift: np.ndarray, scale: float) -> np.ndarray:
    """D of two standard Gaussians whose means are ``shift`` apart, in closed form."""
    found = np.zeros_like(shift)
    for w in (2 * scale, scale, scale / 2, scale / 4):
        found += (w * w / (w * w + 2)) ** (DIMENSION / 2) * (1 - np.exp(-(shift**2) / (2 * (w * w + 2)))) / 2
    return found


def shift_for(distance: np.ndarray, scale: float) -> np.ndarray:
    """The shift that has this distance; 0 for a distance of 0 or less."""
    return np.asarray(np.interp(np.maximum(distance, 0), squared_mmd(SHIFTS, scale), SHIFTS))


def gaussian(generator: np.random.Generator, n: int) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal((n, DIMENSION)))


def margin(scale: float = 3.82) -> float:
    """Version 1's margin: the 95 % quantile of the distance of two sets of 500 real rows."""
    generator = np.random.default_rng(1)
    metric = MMD("values", scale)
    values = [metric.distance(gaussian(generator, 500), gaussian(generator, 500)) for _ in range(100)]
    return float(np.quantile(values, 0.95))


@dataclass(frozen=True, eq=False)
class Planted:
    """Real data with its metric, and distances of shifted samples to it without a kernel for each shift.

    With |z + s u - b|^2 = |z - b|^2 + 2 s u.z - 2 s u.b + s^2 each of the kernel's four parts is the one of z and b times a
    factor of the row and one of the column, so that all shifts of one z cost one matrix product. ``RealData.measure`` is the
    honest path, to which a test holds this one.
    """

    data: RealData
    metric: MMD
    test: torch.Tensor
    validation: torch.Tensor
    counts: torch.Tensor
    direction: torch.Tensor

    @staticmethod
    def of(generator: np.random.Generator, resamples: int = 200) -> Planted:
        train, test, validation = (gaussian(generator, n) for n in (TRAIN, TEST, VALIDATION))
        metric = mmd_for(train, None, "values")
        u = gaussian(generator, 1)[0]
        data = RealData.of(test, validation, [metric], samples=1_000)
        counts = resampling_counts(TEST, resamples, 0)
        return Planted(data, metric, test, validation, counts, u / u.norm())

    def _against(self, z: torch.Tensor, b: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
        """(len(b), number of shifts): means over z of k(z + s u, b)."""
        unit = -1 / (8 * self.metric.scale**2)
        base = (torch.cdist(z, b).square() * unit).exp()
        zu, bu = z @ self.direction, b @ self.direction
        total = torch.zeros(len(b), len(shifts), dtype=torch.float64)
        for power in (1, 4, 16, 64):
            c = unit * power
            rows = (c * 2 * zu[:, None] * shifts).exp()
            columns = (c * (shifts**2 - 2 * bu[:, None] * shifts)).exp()
            total += (base.T @ rows) * columns
            if power < 64:
                base.square_().square_()
        return total / (4 * len(z))

    def measure(self, z: torch.Tensor, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances (n,), replicates (n, R) and validation distances (n,) of z + s u for each shift s."""
        s = torch.from_numpy(shifts)
        last = len(z) // 4
        tested, chosen = z[: len(z) - last], z[len(z) - last :]
        reference = self.data.test["values"]
        own = _own_term(tested, self.metric.scale)
        g = self._against(tested, self.test, s)
        replicates = own + reference.own_resampled[: len(self.counts), None] - 2 * (self.counts @ g) / TEST
        other = _own_term(chosen, self.metric.scale) + self.data.validation["values"].own
        return (
            (own + reference.own - 2 * g.mean(0)).numpy(),
            replicates.T.numpy(),
            (other - 2 * self._against(chosen, self.validation, s).mean(0)).numpy(),
        )

    def curve(
        self, name: str, truths: np.ndarray, generator: np.random.Generator, samples: int, own_starts: bool = False
    ) -> Curve:
        """The curve of a method whose distances are planted: ``truths`` (k, n), new samples for each seed (or each row)."""
        shifts = shift_for(truths, self.metric.scale)
        parts = []
        for row in shifts:
            if own_starts:
                one = [self.measure(gaussian(generator, samples), row[i : i + 1]) for i in range(len(row))]
                parts.append(tuple(np.concatenate(p) for p in zip(*one, strict=True)))
            else:
                parts.append(self.measure(gaussian(generator, samples), row))
        values, replicates, validation = (np.stack(p) for p in zip(*parts, strict=True))
        return Curve(
            name,
            CALLS.astype(int),
            CALLS,
            {"values": values},
            {"values": replicates.mean(0)},
            {"values": validation.mean(0)},
        )

    def rules(self) -> Rules:
        return Rules(floor={"values": self.data.metric_facts[0].floor})


def planted_truths(
    truth: Truth, unit: float, k: int, sd: float, generator: np.random.Generator, row: float | None = None
) -> np.ndarray:
    """(k, n) distances with training noise: a shift of each seed, and a tenth of it for each row."""
    true = np.array([truth(c) for c in CALLS])
    small = 0.1 * sd if row is None else row
    noise = sd * generator.standard_normal((k, 1)) + small * generator.standard_normal((k, len(CALLS)))
    return np.asarray(unit * (true + noise))


@dataclass(frozen=True)
class Real:
    """A setting of planted samples; distances in margins."""

    limit: float
    speed: float
    seeds: int
    training: float
    samples: int = 1_000
    baselines: int = 1
    own_starts: bool = False


MARGIN: list[float] = []


def unit_of() -> float:
    if not MARGIN:
        MARGIN.append(margin())
    return MARGIN[0]


def real_curves(real: Real, generator: np.random.Generator) -> tuple[list[Curve], Rules]:
    """The candidate's curve and the baselines', and the rules that their real data allow."""
    planted, d = Planted.of(generator), unit_of()

    def curve(name: str, truth: Truth) -> Curve:
        truths = planted_truths(truth, d, real.seeds, real.training, generator)
        return planted.curve(name, truths, generator, real.samples, real.own_starts)

    found = [curve("warm", falling(real.limit, speed=real.speed))]
    found += [curve(f"cold{i}", falling(real.limit)) for i in range(real.baselines)]
    return found, planted.rules()


def real_study(real: Real, generator: np.random.Generator) -> Result:
    (candidate, *baselines), rules = real_curves(real, generator)
    best = quoted(exchanges(candidate, baselines, rules))
    return result(best, falling(real.limit, speed=real.speed), [falling(real.limit)] * real.baselines)


def real_settings() -> Iterator[tuple[str, Real]]:
    for limit, k, sd, speed in itertools.product((0, 1, 3, 6), (3, 5), (0.0, 0.3), (1, 2, 4, 8)):
        yield f"D {limit} k {k} training {sd} speed {speed}", Real(limit, speed, k, sd)
    for k in (3, 5):
        yield f"D 1 k {k} training 0.0 speed 1, new starts for each row", Real(1, 1, k, 0.0, own_starts=True)
        yield f"D 3 k {k} training 0.3 speed 1, three baselines", Real(3, 1, k, 0.3, baselines=3)


# ---------------------------------------------------------------- solvers chosen on validation samples


def table(values: dict[int, float]) -> Truth:
    """Interpolated in the logarithm of calls, 2 margins above 0."""
    xs = sorted(values)
    return lambda calls: 2 + float(np.interp(math.log(calls), [math.log(x) for x in xs], [values[x] for x in xs]))


SMOOTH = (
    {1: 5, 2: 2.5, 3: 1.3, 4: 0.9, 6: 0.6, 8: 0.4, 15: 0.1, 30: 0},
    {1: 9, 3: 4, 5: 2, 9: 0.7, 15: 0.3, 31: 0.1},
    {1: 9, 4: 5, 8: 2, 20: 0.7, 50: 0.2},
)
CASES = {
    "both need 3": (
        {1: 8, 2: 3, 3: 0.2, 4: 0.1, 8: 0.05, 30: 0}, {1: 8, 3: 5, 5: 1, 9: 0.3, 15: 0.1, 31: 0},
        {1: 9, 4: 4, 8: 1.5, 20: 0.4, 50: 0.1}, 5, 0.3,
    ),
    "both need 5": (
        {1: 9, 2: 6, 4: 2, 5: 0.2, 6: 0.1, 8: 0.05, 30: 0}, {1: 9, 3: 4, 5: 2, 9: 0.3, 15: 0.1, 31: 0},
        {1: 9, 4: 5, 8: 2, 20: 0.5, 50: 0.1}, 5, 0.3,
    ),
    "smooth, same grid, sd .3 k 5": (*SMOOTH, 5, 0.3),
    "smooth, same grid, sd .6 k 3": (*SMOOTH, 3, 0.6),
}  # fmt: skip


def solver_study(name: str, generator: np.random.Generator) -> Result:
    """Warm with Adams-Bashforth against cold with whichever of three solvers is best on other samples at 2, 4 and 8 calls."""
    *tables, k, sd = CASES[name]
    solvers = [table(t) for t in tables]  # type: ignore[arg-type]
    planted, d, at = Planted.of(generator), unit_of(), [int(np.flatnonzero(c == CALLS)[0]) for c in CHOSEN_AT]
    shift = sd * generator.standard_normal((k, 1))  # type: ignore[operator]
    floor = (planted.rules().floor or {})["values"]
    starts = [gaussian(generator, 1_000) for _ in range(int(k))]  # every solver of a seed has the same
    scores: dict[str, dict[int, dict[str, float]]] = {}
    truths = []
    for truth in solvers:
        true = np.array([truth(c) for c in CALLS])
        truths.append(d * (true + shift + 0.1 * sd * generator.standard_normal((k, len(CALLS)))))  # type: ignore[operator]
        found = [
            planted.measure(z, shift_for(row[at], planted.metric.scale))[2]
            for z, row in zip(starts, truths[-1], strict=True)
        ]
        scores[str(len(scores))] = {c: {"values": float(v)} for c, v in zip(CHOSEN_AT, np.mean(found, 0), strict=True)}
    best = int(best_solver(scores, {"values": floor}))
    warm = planted.curve("warm", planted_truths(solvers[0], d, int(k), float(sd), generator), generator, 1_000)
    cold = planted.curve("cold", truths[best], generator, 1_000)
    found = result(quoted(exchanges(warm, [cold], planted.rules())), solvers[0], solvers)
    return {**found, "solver": float(best)}


# ---------------------------------------------------------------- more samples


def more_study(name: str, generator: np.random.Generator) -> Result:
    samples, speed = (int(part) for part in name.split(" samples, speed "))
    return real_study(Real(1, speed, 5, 0.3, samples), generator)


# ---------------------------------------------------------------- walks of an exact field


@dataclass(frozen=True)
class Walk:
    """Euler's method on the exact field of a Gaussian; a call of the candidate does the work of ``speed`` calls."""

    speed: int
    seeds: int = 3
    samples: int = 1_000


def walk_samples(steps: int, n: int, seed: int, shift: torch.Tensor, cov: torch.Tensor) -> torch.Tensor:
    from warmflow.fields.exact import ExactGaussian
    from warmflow.paths import LinearPath
    from warmflow.sampler import Sampler
    from warmflow.solvers import Euler
    from warmflow.sources.noise import StandardNormal

    eye, zero = torch.eye(DIMENSION, dtype=torch.float64), torch.zeros(DIMENSION, dtype=torch.float64)
    field = ExactGaussian(zero, eye, shift, cov, LinearPath())
    return Sampler(StandardNormal((DIMENSION,)), field, Euler(), steps)(n, seed=seed).x.double()


def walk_curves(walk: Walk, generator: np.random.Generator) -> tuple[list[Curve], Rules]:
    """The candidate's curve and the baseline's; the mean of each training seed's field is wrong by 0.02 N(0, I)."""
    cov = torch.diag(torch.logspace(-1.5, 0.3, DIMENSION, dtype=torch.float64))
    root = cov.sqrt()
    train, test, validation = (gaussian(generator, n) @ root for n in (TRAIN, TEST, VALIDATION))
    data = RealData.of(test, validation, [mmd_for(train, None, "values")])

    def curve(name: str, speed: int) -> Curve:
        calls = CALLS[CALLS * speed <= CALLS[-1]]
        values, replicates, chosen = [], [], []
        for _ in range(walk.seeds):
            shift = 0.02 * gaussian(generator, 1)[0]
            seed = int(generator.integers(2**31))
            rows = [data.measure(walk_samples(int(c) * speed, walk.samples, seed, shift, cov)) for c in calls]
            values.append([r.distance["values"] for r in rows])
            replicates.append(np.stack([r.replicates["values"].numpy() for r in rows]))
            chosen.append([r.validation["values"] for r in rows])
        return Curve(
            name, calls.astype(int), calls, {"values": np.array(values)}, {"values": np.mean(replicates, 0)},
            {"values": np.mean(chosen, 0)},
        )  # fmt: skip

    return [curve("warm", walk.speed), curve("cold", 1)], Rules(floor={"values": data.metric_facts[0].floor})


def walk_study(walk: Walk, generator: np.random.Generator) -> Result:
    (candidate, baseline), rules = walk_curves(walk, generator)
    best = quoted(exchanges(candidate, [baseline], rules))
    return result(best, lambda c: 1 / (c * walk.speed), [lambda c: 1 / c])  # any falling curve: the rate is ``speed``


# ---------------------------------------------------------------- the planner


def planned(
    pilot: list[Curve], rules: Rules, study: Callable[[int, int], Result], speed: int, studies: int = 80, after: int = 5
) -> Result:
    """The plan of a pilot of 3 seeds and 1,000 samples, and ``after`` new studies with the seeds and samples it asks for."""
    plan = plan_of(pilot, 1_000, TEST, VALIDATION, rules=rules, studies=studies)
    if plan.seeds is None or plan.samples is None:
        return {"rate": 0.0, "truth": 0.0, "calls": None, "planned": 0.0}
    found = [study(plan.seeds, plan.samples) for _ in range(after)]
    rates = [math.inf if r["rate"] is None else float(r["rate"]) for r in found]
    median = float(np.median(rates))
    return {
        "rate": median if math.isfinite(median) else None,
        "truth": speed,
        "calls": plan.seeds,
        "over": float(np.mean([float(r.get("over") or 0) for r in found])),
        "above": float(np.mean([float(r.get("above") or 0) for r in found])),
        "planned": 1.0,
        "samples": plan.samples,
    }


def planner_study(model: Model, generator: np.random.Generator) -> Result:
    rules = Rules(floor=dict.fromkeys(model.names(), 0.02))
    pilot = synthetic(model, generator, 3)
    return planned(pilot, rules, lambda k, n: model_study(model, generator, k, n // 1_000), int(model.speed))


def planner_real_study(real: Real, generator: np.random.Generator) -> Result:
    pilot, rules = real_curves(replace(real, seeds=3), generator)
    return planned(pilot, rules, lambda k, n: real_study(replace(real, seeds=k, samples=n), generator), int(real.speed))


def planner_walk_study(walk: Walk, generator: np.random.Generator) -> Result:
    pilot, rules = walk_curves(walk, generator)
    return planned(pilot, rules, lambda k, n: walk_study(replace(walk, seeds=k, samples=n), generator), walk.speed)


# ---------------------------------------------------------------- the run


def studies_of(section: str) -> Iterator[tuple[str, Callable[[np.random.Generator], Result]]]:
    if section == "model":
        for name, m in model_settings():
            yield name, lambda g, m=m: model_study(m, g)  # type: ignore[misc]
    elif section == "real":
        for name, r in real_settings():
            yield name, lambda g, r=r: real_study(r, g)  # type: ignore[misc]
    elif section == "solvers":
        for name in CASES:
            yield name, lambda g, name=name: solver_study(name, g)  # type: ignore[misc]
    elif section == "more":
        for n, speed in itertools.product((1_000, 3_000, 10_000), (4, 1)):
            name = f"{n} samples, speed {speed}"
            yield name, lambda g, name=name: more_study(name, g)  # type: ignore[misc]
    elif section == "walks":
        for speed in (1, 2, 4, 8):
            yield f"speed {speed}", lambda g, speed=speed: walk_study(Walk(speed), g)  # type: ignore[misc]
    elif section == "planner":
        for speed, sd in itertools.product((1, 2, 4, 8), (0.3, 0.6)):
            m = Model(1, speed, 3, sd)
            yield f"pilot of 3, training {sd} speed {speed}", lambda g, m=m: planner_study(m, g)  # type: ignore[misc]
        for speed in (2, 4, 8):
            r, w = Real(1, speed, 3, 0.3), Walk(speed)
            yield f"planted samples, speed {speed}", lambda g, r=r: planner_real_study(r, g)  # type: ignore[misc]
            yield f"walks, speed {speed}", lambda g, w=w: planner_walk_study(w, g)  # type: ignore[misc]


def wilson(count: float, n: int, z: float = 1.96) -> tuple[float, float]:
    p, b = count / n, z * z / n
    middle, reach = (p + b / 2) / (1 + b), z * math.sqrt(p * (1 - p) / n + b / (4 * n)) / (1 + b)
    return middle - reach, middle + reach


def measured_before(out: Path, section: str) -> dict[tuple[str, int], Result]:
    found = {}
    for path in sorted(out.glob(f"{section}.*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):  # the last line of a process that was cut off may not
                row = json.loads(line)
                found[row["setting"], row["study"]] = row
    return found


def run(section: str, out: Path, studies: int, part: tuple[int, int], only: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    before = measured_before(out, section)
    with (out / f"{section}.{part[0]}.jsonl").open("a", encoding="utf-8") as file:
        for name, study in studies_of(section):
            if only not in name:
                continue
            for i in range(part[0] - 1, studies, part[1]):
                if (name, i) in before:
                    continue
                generator = np.random.default_rng([zlib.crc32(name.encode()), i])
                began = time.process_time()
                row = study(generator)
                seconds = round(time.process_time() - began, 3)
                file.write(
                    json.dumps({"section": section, "setting": name, "study": i, **row, "seconds": seconds}) + "\n"
                )
                file.flush()


def show(out: Path) -> None:
    for section in ("model", "real", "solvers", "more", "walks", "planner"):
        groups: dict[str, list[Result]] = {}
        for (name, _), row in measured_before(out, section).items():
            groups.setdefault(name, []).append(row)
        if groups:
            print(f"\n{section}\n{'setting':62s} {'n':>5s} {'overclaims (95 %)':>22s} {'above 1 (95 %)':>22s} "
                  f"{'10 %':>6s} {'median':>6s} {'90 %':>6s} {'s':>6s}")  # fmt: skip
        for name, rows in groups.items():
            planned = [r for r in rows if r.get("planned", 1.0)]  # of the planner: the pilots that it has a plan for
            pilots, rows = len(rows), planned or rows
            n = len(rows)
            over, above = (sum(float(r.get(key) or 0) for r in rows) for key in ("over", "above"))
            cells = [f"{x / n:6.3f} ({low:.3f} .. {high:.3f})" for x in (over, above) for low, high in [wilson(x, n)]]
            rates = [math.inf if r["rate"] is None else float(r["rate"]) for r in rows]
            low, median, high = (float(np.sort(rates)[min(n - 1, int(q * n))]) for q in (0.1, 0.5, 0.9))
            seconds = np.mean([float(r["seconds"] or 0) for r in rows])
            extra = ""
            if section == "planner":
                seeds = [float(r["calls"]) for r in rows if r["calls"] is not None]
                extra = f"  planned {len(seeds)} of {pilots}, seeds {np.median(seeds) if seeds else 0:g}"
            print(
                f"{name:62s} {n:5d} {cells[0]:>22s} {cells[1]:>22s} {low:6.2f} {median:6.2f} {high:6.2f} {seconds:6.2f}{extra}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=("model", "real", "solvers", "more", "walks", "planner", "show"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--studies", type=int, default=1_000)
    parser.add_argument("--part", default="1/1", help="I/N: this process does every N-th study, from the I-th on")
    parser.add_argument("--only", default="", help="settings whose name holds this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.section == "show":
        show(args.out)
    else:
        first, of = (int(x) for x in args.part.split("/"))
        run(args.section, args.out, args.studies, (first, of), args.only)


if __name__ == "__main__":
    main()
