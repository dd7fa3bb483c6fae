"""One training loop for every objective; the only file that imports Accelerate.

One step is one batch and one update of one player. A step is a function of (seed, step) and the weights alone: rows come from the
permutation of their epoch, noise from counters. A resumed run therefore continues bit for bit, and two processes compute the
same as one: every process pairs the whole batch and takes its own rows of the pairs, and gradients are averaged here (modules
are not wrapped).

    learning rate: linear over ``warmup`` steps, then half a cosine down to 2 % of its peak; again after each restart
    averaged weights: w <- d w + (1 - d) theta with d = min(ema, (1 + k) / (10 + k)) after k earlier updates of that player
"""

from __future__ import annotations

import copy
import json
import math
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import TypedDict

from warmflow import estimates, signals
from warmflow.contracts import Data, Objective, Pair, Player
from warmflow.failures import explained
from warmflow.files import (
    Damaged,
    append_line,
    check_inside,
    make_folder,
    read_bytes,
    read_tensors,
    write_tensors,
    write_text,
)
from warmflow.noise import Noise, permutation
from warmflow.number_checks import is_whole, numbers_checked
from warmflow.printing import bar, say
from warmflow.schemas import Seconds, Seed, Whole, checked

if TYPE_CHECKING:
    from accelerate import Accelerator

MOST_NORM = 1.0
"""Longer gradients are clipped to this norm."""
LONGEST_WARMUP = 200


class Diverged(ValueError):
    """The loss or gradient is not finite; the run folder keeps the last good checkpoint."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The averaged and the raw networks by player, and facts about the training: steps, seconds, loss, parameters, speed."""

    networks: Mapping[str, nn.Module]
    raw: Mapping[str, nn.Module]
    facts: Mapping[str, float]


def rate(step: int, steps: int, warmup: int) -> float:
    """The learning rate at a step, as a fraction of its peak."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def rate_with(step: int, ends: Sequence[int], warmup: int | None) -> float:
    """``rate`` of a training whose learning rate comes down at every one of the steps ``ends``, and rises again after it.

    Args:
        warmup: None for a tenth of the steps until the next end, at most 200.
    """
    first = max((end for end in (0, *ends) if end <= step), default=0)
    steps = next(end for end in ends if end > step) - first
    return rate(step - first, steps, min(LONGEST_WARMUP, max(1, steps // 10)) if warmup is None else warmup)


def laid_out(value: Tensor, like: Tensor) -> Tensor:
    """A copy of the value in the memory layout of ``like``, if the shapes agree: fused optimisers read both tensors in memory
    order.
    """
    return torch.empty_like(like).copy_(value) if value.shape == like.shape else value


class _Trainer:
    """A player with its optimiser and its averaged weights."""

    def __init__(self, player: Player, device: torch.device) -> None:
        self.player = player
        self.network = player.network.to(device).train()
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.weights, player.learning_rate, player.betas, weight_decay=player.weight_decay, fused=True
        )
        self.average = copy.deepcopy(self.network)
        both = zip(self.network.parameters(), self.average.parameters(), strict=True)
        self.averaged = [a for p, a in both if p.requires_grad]
        self.buffers, self.average_buffers = list(self.network.buffers()), list(self.average.buffers())
        self.reached, self.complete = 0, True  # the step these weights belong to; False during an update
        self.updates = 0  # this player's own updates, fewer than steps if players take turns

    def update(self, share: float, step: int) -> None:
        self.complete = False
        for group in self.optimiser.param_groups:
            group["lr"] = self.player.learning_rate * share
        self.optimiser.step()
        decay = min(self.player.ema, (1 + self.updates) / (10 + self.updates))
        blend = get_ema_multi_avg_fn(decay if self.updates else 0.0)  # the average begins with the first weights
        blend(self.averaged, self.weights, None)
        for ours, theirs in zip(self.average_buffers, self.buffers, strict=True):
            ours.copy_(theirs)  # running statistics are copied, not averaged
        self.reached, self.updates, self.complete = step + 1, self.updates + 1, True

    def state(self, name: str) -> dict[str, Tensor]:
        tensors = {f"{name}.raw.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"{name}.average.{k}": v for k, v in self.average.state_dict().items()}
        tensors[f"{name}.updates"] = torch.tensor(self.updates)
        for i, p in enumerate(self.weights):
            tensors |= {f"{name}.optimiser.{i}.{k}": v for k, v in self.optimiser.state[p].items()}
        return tensors

    def misfit(self, name: str, tensors: Mapping[str, Tensor]) -> str:
        """The first tensor of this player that is missing, of another shape or not finite; empty if there is none."""
        like = {f"{name}.{kind}.{k}": v for kind in ("raw", "average") for k, v in self.network.state_dict().items()}
        like[f"{name}.updates"] = torch.tensor(0)
        for i, p in enumerate(self.weights):
            moments = (f"{name}.optimiser.{i}.{k}" for k in ("exp_avg", "exp_avg_sq"))
            like |= {k: p for k in moments if f"{name}.optimiser.{i}.step" in tensors}
        wrong = (k for k, v in like.items() if k not in tensors or tensors[k].shape != v.shape)
        weights = (f"{name}.raw.{k}" for k, p in self.network.named_parameters() if p.requires_grad)
        broken = (k for k in weights if not tensors[k].isfinite().all())
        return next(wrong, "") or next(broken, "")

    def restore(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.network.load_state_dict(part(f"{name}.raw."))
        self.average.load_state_dict(part(f"{name}.average."))
        self.updates = int(tensors[f"{name}.updates"])
        state = self.optimiser.state_dict()
        state["state"] = {
            i: {k: laid_out(v, p) for k, v in part(f"{name}.optimiser.{i}.").items()}
            for i, p in enumerate(self.weights)
            if f"{name}.optimiser.{i}.step" in tensors
        }
        self.optimiser.load_state_dict(state)


class _Rows:
    """The rows of step k: positions k B .. (k + 1) B - 1 of the concatenated epochs, each a new permutation."""

    def __init__(self, n: int, batch: int, seed: int) -> None:
        self.n, self.batch, self.seed = n, batch, seed
        self.cache: dict[int, Tensor] = {}

    def of(self, step: int) -> Tensor:
        position = torch.arange(step * self.batch, (step + 1) * self.batch)
        epochs = position // self.n
        parts = []
        for epoch in epochs.unique().tolist():
            if epoch not in self.cache:
                self.cache = {k: v for k, v in self.cache.items() if k == epoch - 1}
                self.cache[epoch] = permutation(self.seed, self.n, f"epoch {epoch}")
            parts.append(self.cache[epoch][position[epochs == epoch] % self.n])
        return torch.cat(parts)


class _Log:
    """log.jsonl: one line every few steps. When a run resumes, lines after the checkpoint are removed."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self.path = None if folder is None else folder / "log.jsonl"
        if self.path is not None and self.path.exists():
            check_inside(self.path)
            kept = []
            for line in read_bytes(self.path).decode("utf-8", errors="replace").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line + "\n")
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # an incomplete line, written when the process was killed
            write_text(self.path, "".join(kept))

    def write(self, line: Mapping[str, object]) -> None:
        if self.path is not None:
            append_line(self.path, json.dumps(line))


def _average_gradients(accelerator: Accelerator, weights: list[nn.Parameter]) -> None:
    if accelerator.num_processes > 1:
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in weights])
        flat = accelerator.reduce(flat, "mean")
        for p, g in zip(weights, flat.split([p.numel() for p in weights]), strict=True):
            p.grad = laid_out(g.reshape(p.shape), p)


def _agreed(accelerator: Accelerator, loss: Tensor) -> tuple[float, int]:
    """The mean loss over all processes, and the signal that asks to stop: a process that stopped alone would leave the others
    waiting for its gradients.
    """
    stop = signals.stop_asked()
    if accelerator.num_processes == 1:
        return float(loss), stop
    value, others = accelerator.reduce(torch.stack([loss, torch.full_like(loss, stop)]), "mean").tolist()
    return value, stop or (signal.SIGTERM if others else 0)


def _checked(objective: Objective, data: Data, steps: int, batch: int, processes: int) -> None:
    for name, value in (("steps", steps), ("batch", batch)):
        if not is_whole(value):
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
    if not len(data):
        raise ValueError("there is no data to train on")
    if batch % processes:
        raise ValueError(
            f"batch is {batch}, which cannot be divided equally between {processes} processes: use a multiple"
        )
    if objective.product not in objective.players:
        raise ValueError(f"the objective's product {objective.product!r} is not one of its players")


class _Facts(TypedDict):
    """What the header of a checkpoint says, as texts."""

    step: Whole
    steps: Whole
    batch: Whole
    seed: Seed
    seconds: Seconds
    loss: float


_FACTS = TypeAdapter(_Facts)


@dataclass
class _Checkpoint:
    """How far a training has come, kept in a file that the same run continues from.

    Args:
        path: the file; None to keep nothing.
        restarts: numbers of steps of earlier trainings that this one goes on from.
        first: the step at which this process began; ``spent``: seconds of earlier processes.
    """

    path: Path | None
    trainers: Mapping[str, _Trainer]
    asked: Mapping[str, int]
    restarts: Sequence[int] = ()
    first: int = 0
    spent: float = 0.0
    loss: float = math.nan
    began: float = 0.0

    @staticmethod
    def of(
        folder: Path | None, trainers: Mapping[str, _Trainer], asked: Mapping[str, int], restarts: Sequence[int], writes: bool
    ) -> _Checkpoint:  # fmt: skip
        """The checkpoint of a run folder, which is made; the trainers continue from what it holds. ``writes``: whether this
        process is the one that writes.

        Raises:
            ValueError: it belongs to a run of other steps, batch or seed.
        """
        if folder is not None:
            make_folder(folder)
        path = None if folder is None else folder / "checkpoint.safetensors"
        found = _Checkpoint(path if writes else None, trainers, asked, restarts)
        if path is not None and path.exists():
            try:
                found._restore(path)
            except Damaged as error:
                say(f"warning: {str(error).partition(': ')[0]}: the training begins again", writes)
        found.began = estimates.clock()
        return found

    def _restore(self, path: Path) -> None:
        tensors, told = read_tensors(path)
        facts = checked(_FACTS, {"loss": "nan", **told}, path)
        goes_on, found = facts["steps"] in self.restarts, {k: facts[k] for k in ("steps", "batch", "seed")}
        if any(found[name] != value for name, value in self.asked.items() if not (goes_on and name == "steps")):
            steps, batch, seed = self.asked.values()
            raise ValueError(
                f"{path} belongs to a run of {facts['steps']} steps, batch {facts['batch']}, seed {facts['seed']}; "
                f"requested are {steps}, {batch}, {seed}: choose another folder"
            )
        wrong = next(filter(None, (t.misfit(name, tensors) for name, t in self.trainers.items())), "")
        if wrong or facts["step"] > facts["steps"]:
            raise ValueError(
                f"{path} does not fit this network and training ({wrong or 'step'}): choose another folder, or move it away to "
                "begin again"
            )
        self.first, self.spent, self.loss = facts["step"], facts["seconds"], facts["loss"]
        for name, trainer in self.trainers.items():
            trainer.restore(name, tensors)

    @property
    def seconds(self) -> float:
        """Seconds of the training so far, earlier processes included."""
        return self.spent + estimates.clock() - self.began

    def save(self) -> None:
        """Writes the file; keeps the earlier one if an update was interrupted halfway."""
        if self.path is not None and all(trainer.complete for trainer in self.trainers.values()):
            tensors = {k: v for name, trainer in self.trainers.items() for k, v in trainer.state(name).items()}
            reached = max(self.first, *(trainer.reached for trainer in self.trainers.values()))
            numbers = {"step": reached, **self.asked, "seconds": self.seconds, "loss": self.loss}
            write_tensors(self.path, tensors, {k: str(v) for k, v in numbers.items()})


def _accelerator(device: str) -> Accelerator:
    from accelerate import Accelerator

    try:
        return Accelerator(cpu=torch.device(device).type == "cpu")
    except ValueError:
        return Accelerator()  # its state is global: an earlier training used another device


@explained("training", "--batch", "--width")
@numbers_checked
def train(
    objective: Objective,
    data: Data,
    *,
    steps: int,
    batch: int,
    seed: int,
    folder: str | Path | None = None,
    device: str = "cpu",
    warmup: int | None = 200,
    restarts: Sequence[int] = (),
    save_every: int = 500,
    log_every: int = 50,
    progress: str | None = None,
) -> Trained:
    """Trains the objective's players for ``steps`` updates; the given networks are modified in place.

    Args:
        folder: a run folder for checkpoints and log.jsonl; training resumes from a checkpoint found there.
        warmup: steps over which the learning rate rises; None for a tenth of all, at most 200.
        restarts: steps before the last at which the learning rate has come down and rises again. A checkpoint of a training that
            ended at one of them is continued.
        save_every: steps between checkpoints. Another is written at the end, on Ctrl-C, when a signal asks for it
            (``signals``), and before an error is raised.
        log_every: steps between lines of the log.
        progress: label of the progress bar; None for no bar.

    Raises:
        ValueError: invalid steps or batch, no data, or a checkpoint of another run. Diverged (a ValueError): the loss or gradient
            is not finite. Failed (a ValueError): too little memory, a full disk.
        KeyboardInterrupt: raised again after the checkpoint is written.
    """
    accelerator = _accelerator(device)
    _checked(objective, data, steps, batch, accelerator.num_processes)
    main, where = accelerator.is_main_process, None if folder is None else Path(folder)
    alone = accelerator.num_processes == 1 or torch.device(device).index is not None
    place = torch.device(device) if alone else accelerator.device
    trainers = {name: _Trainer(player, place) for name, player in objective.players.items()}
    kept = _Checkpoint.of(where, trainers, {"steps": steps, "batch": batch, "seed": seed}, restarts, main)
    first, began, ends = kept.first, kept.began, (*restarts, steps)
    log = _Log(where if main else None, first)
    shown = bar(total=steps, first=first, what=progress, shown=progress is not None and main)
    loop = estimates.Rounds(steps - first, warm=2)
    norms: dict[str, float] = {}  # of each player's last update: logged steps may all belong to one player
    rows, mine = _Rows(len(data), batch, seed), slice(accelerator.process_index, None, accelerator.num_processes)
    with signals.held():
        try:
            for step in range(first, steps):
                noise = Noise.of(seed, batch, step * batch).fold("train")
                pair = objective.pair(data[rows.of(step)], noise=noise)[mine].to(place)
                kept.loss, norms[objective.turn(step)], numbers, stop = _update(
                    objective, trainers, pair, noise[mine].to(place), step, rate_with(step, ends, warmup), accelerator
                )  # fmt: skip
                done = step + 1
                shown.update()
                if done % log_every == 0 or done == steps:
                    speed = (done - first) * batch / (estimates.clock() - began)
                    more = {**numbers, "gradient_norm": dict(norms)}
                    log.write({"step": done, "loss": kept.loss, "samples_per_second": round(speed, 1), **more})
                    shown.set_postfix_str(f"loss {kept.loss:.4f}, {speed:,.0f} samples/s")
                if (done % save_every == 0 or signals.take_notice()) and done < steps:
                    kept.save()
                if stop:
                    raise signals.Stopped(stop)
                if loop.enough():
                    break
        except (KeyboardInterrupt, Diverged):
            kept.save()
            raise
        except Exception:
            if any(trainer.reached > first for trainer in trainers.values()):
                with suppress(Exception):  # the first error is the one to be told
                    kept.save()
            raise
        finally:
            shown.close()
        loop.left_out()
        kept.save()
    return _finished(kept, trainers, batch)


def _finished(kept: _Checkpoint, trainers: Mapping[str, _Trainer], batch: int) -> Trained:
    """The networks and the facts of a training that has come to its end."""
    steps = kept.asked["steps"]
    record = {
        "steps": steps, "batch": batch, "seconds": kept.seconds, "loss": kept.loss,
        "parameters": sum(p.numel() for trainer in trainers.values() for p in trainer.weights),
        "samples_per_second": (steps - kept.first) * batch / max(estimates.clock() - kept.began, 1e-9),
    }  # fmt: skip
    averaged = {name: trainer.average if trainer.player.ema else trainer.network for name, trainer in trainers.items()}
    raw = {name: trainer.network.eval() for name, trainer in trainers.items()}
    return Trained({name: network.eval() for name, network in averaged.items()}, raw, record)


def _update(
    objective: Objective, trainers: Mapping[str, _Trainer], pair: Pair, noise: Noise, step: int, share: float,
    accelerator: Accelerator,
) -> tuple[float, float, dict[str, float], int]:  # fmt: skip
    """Updates the player whose turn it is. Returns the mean loss over all processes, the gradient norm before clipping, the
    objective's numbers, and the signal that has asked any process to stop (0 for none).
    """
    turn = objective.turn(step)
    for name, trainer in trainers.items():
        for p in trainer.weights:
            p.requires_grad_(name == turn)
            p.grad = None
    before = [b.clone() for b in trainers[turn].buffers]
    try:
        value, norm, numbers, stop = _gradients(objective, trainers[turn], turn, pair, noise, step, accelerator)
    except Exception:
        for buffer, value_before in zip(trainers[turn].buffers, before, strict=True):
            buffer.copy_(value_before)  # undo the forward pass's update of the running statistics
        raise
    trainers[turn].update(share, step)
    return value, norm, numbers, stop


def _gradients(
    objective: Objective, trainer: _Trainer, turn: str, pair: Pair, noise: Noise, step: int, accelerator: Accelerator
) -> tuple[float, float, dict[str, float], int]:
    """Computes the gradients of the player whose turn it is; what ``_update`` returns."""
    with torch.random.fork_rng(devices=[p.device for p in trainer.weights[:1] if p.device.type == "cuda"]):
        torch.manual_seed(int(noise.fold("dropout").key[0]))  # dropout uses the global generator only
        loss, numbers = objective.loss(turn, pair, noise=noise)
    loss.backward()  # type: ignore[no-untyped-call]
    _average_gradients(accelerator, trainer.weights)
    norm = torch.nn.utils.clip_grad_norm_(trainer.weights, MOST_NORM)
    value, stop = _agreed(accelerator, loss.detach())
    if not (math.isfinite(value) and math.isfinite(float(norm))):
        raise Diverged(
            f"training diverged at step {step + 1}: loss {value}, gradient norm {float(norm)}; the last good "
            "weights are kept. Lower the learning rate (in another folder), or look for extreme values in the data"
        )
    return value, float(norm), numbers, stop
