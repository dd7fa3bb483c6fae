"""Commands are ended by signals at chosen moments and run again: the result must be that of a run that nothing disturbed.

    python runs/kill.py [--moments 20] [--stages training,measuring,pairing,distilling,two] [--signals KILL,TERM,INT]

In each stage (two: two worker processes) and for each signal, a command on two moons is ended at so many moments, spread evenly
over the stage, and completed by the same command. Each time these must hold:

    same        weights, averages, optimisers, logs, pairs and measured distances are those of the undisturbed run, bit for bit
    lost        after SIGTERM and SIGINT the checkpoint lacks at most one update that was done
    alive       no process of the command is left after five seconds
    leftovers   no temporary file, no lock, nothing new in TMPDIR and /dev/shm; after SIGKILL once it was completed
    code        0, or 143 after SIGTERM and 130 after SIGINT, with one line

Prints a table and what failed. About 15 minutes on one core. Every command is a fork of this process, which has imported
everything, so that most of the time is the command's own.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

SMALL = "--train 600 --heldout 400 --width 16 --depth 1 --quiet"
PAIRED = "--warm-start.rounds 30 --warm-start.block 150"
COMPARED = "--seeds 2 --calls 1,2 --samples 200 --updates 150"
ENDS_WITHIN, GONE_WITHIN = 30.0, 5.0
"""Seconds that a command may take to end (the machine may be busy), and its processes after it."""
KEPT = (
    "torch",
    "accelerate",
    "scipy",
    "sklearn",
    "matplotlib",
    "warmflow",
    "joblib",
    "safetensors",
    "tqdm",
    "pydantic",
    "cyclopts",
)
"""Packages that every command imports."""
OK = {"KILL": (-signal.SIGKILL,), "TERM": (143,), "INT": (130,)}


@dataclass
class Stage:
    """A command and the part of it in which it is ended.

    Args:
        began, ended: whether the part has begun, has ended, by the folder.
        base: a folder that the command continues; None to begin anew.
    """

    words: list[str]
    began: Callable[[Path], bool]
    ended: Callable[[Path], bool]
    base: Path | None = None
    whole: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Told:
    """What was seen of one row of the table."""

    running: int = 0
    failed: list[str] = field(default_factory=list)
    lost: int = 0
    slowest: float = 0.0


# ---------------------------------------------------------------- commands


def started(words: list[str], counted: Path) -> int:
    """Forks a command in a session of its own; the process id. The child never returns from here.

    Args:
        counted: the file in which the child counts the updates that it has done.
    """
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(counted.with_suffix(".err"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(log, 2)
    os.environ["TMPDIR"] = str(counted.parent / "tmp")
    tempfile.tempdir = None
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from warmflow import cli, training
    from warmflow.experiments import run

    done, handle = training._Trainer.update, os.open(counted, os.O_CREAT | os.O_WRONLY)

    def update(self: training._Trainer, share: float, step: int) -> None:
        done(self, share, step)
        os.pwrite(handle, f"{step + 1:8d}".encode(), 0)

    def train(*args: object, **how: object) -> training.Trained:
        return training.train(*args, **{**how, "save_every": 50, "log_every": 10})  # type: ignore[arg-type]

    training._Trainer.update, run.train = update, train  # type: ignore[method-assign, assignment]
    sys.argv = ["warmflow", *words]
    code = cli.main()
    counted.with_suffix(".modules").write_text("\n".join(sys.modules), encoding="utf-8")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)  # a fork has much to free


def imported(counted: Path) -> None:
    """Imports what a command has imported, so that the next ones need not."""
    for name in counted.with_suffix(".modules").read_text(encoding="utf-8").split():
        if name not in sys.modules and name.partition(".")[0] in KEPT:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def processes(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(state[3]) == session and state[0] != "Z":
                found.append(int(entry.name))
    return found


def code_of(pid: int, within: float) -> int | None:
    """The exit code of a command; None if it does not end in time. It is killed then."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def said(counted: Path) -> list[str]:
    return [line for line in counted.with_suffix(".err").read_text(encoding="utf-8").splitlines() if line.strip()]


# ---------------------------------------------------------------- results


def results(folder: Path) -> dict[str, object]:
    """Everything below a folder that does not depend on the time it took."""
    from safetensors.numpy import load_file

    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found |= {f"{name}:{k}": (v.dtype.str, v.shape, v.tobytes()) for k, v in load_file(path).items()}
        elif path.name == "log.jsonl":
            found[name] = [
                (line["step"], line["loss"]) for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
            ]
        elif path.name == "study.json":
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            found[name] = [[r["method"], r["steps"], r["seed"], r["distance"], r["validation"]] for r in rows]
        elif path.name == "config.json":
            found[name] = json.loads(path.read_text(encoding="utf-8")).get("state")
        elif path.is_file():
            found[name] = "is there"
    return found


def lost(folder: Path, counted: Path) -> int:
    """Updates that were done and are not in the checkpoint; below zero without a checkpoint."""
    from safetensors import safe_open

    path = folder / "checkpoint.safetensors"
    done = int(counted.read_text(encoding="utf-8") or 0) if counted.exists() else 0
    if not path.exists():
        return done
    with safe_open(path, "numpy") as file:
        return done - int(file.metadata()["step"])


def leftovers(here: Path, folder: Path, pids: list[int]) -> list[str]:
    """Temporary files, locks and shared memory that these commands have left."""
    found = [
        str(p.relative_to(here))
        for p in folder.rglob("*")
        if ".tmp" in p.name or p.name.startswith((".lock", ".probe"))
    ]
    found += [f"TMPDIR/{p.name}" for p in (here / "tmp").iterdir() if not p.name.startswith("torchinductor")]
    return found + [
        f"/dev/shm/{name}"
        for name in os.listdir("/dev/shm")
        if any(f"-{pid}-" in name or f"_{pid}_" in name for pid in pids)
    ]


# ---------------------------------------------------------------- moments


def fresh(stage: Stage, here: Path) -> Path:
    """The folder that the command works in, as it is before."""
    shutil.rmtree(here, ignore_errors=True)
    (here / "tmp").mkdir(parents=True)
    if stage.base is not None:
        shutil.copytree(stage.base, here / "out")
    return here / "out"


def undisturbed(stage: Stage, here: Path) -> None:
    """Runs the command and notes its results and how long the stage takes."""
    folder = fresh(stage, here)
    pid = started([*stage.words, "--out", str(folder)], here / "count")
    first = last = 0.0
    while not last:
        found, status = os.waitpid(pid, os.WNOHANG)
        now = time.monotonic()
        first = first or (now if stage.began(folder) else 0.0)
        if found and status:
            raise SystemExit(f"{' '.join(stage.words)} failed: {said(here / 'count')}")
        last = now if found or (first and stage.ended(folder)) else 0.0
        time.sleep(0.002)
    if not found:
        os.waitpid(pid, 0)
    imported(here / "count")
    stage.whole, stage.seconds = results(folder), max(last - first, 0.01)


def ended_at(stage: Stage, share: float, name: str, here: Path, told: Told) -> None:
    """Ends the command after this share of the stage, completes it, and notes what is wrong."""
    folder = fresh(stage, here)
    words = [*stage.words, "--out", str(folder)]
    pid = started(words, here / "count")
    end = time.monotonic() + 120
    while (
        not stage.began(folder)
        and time.monotonic() < end
        and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    ):
        time.sleep(0.002)
    time.sleep(share * stage.seconds)
    running = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    os.kill(pid, getattr(signal, f"SIG{name}"))
    began = time.monotonic()
    code = code_of(pid, ENDS_WITHIN)
    gone = time.monotonic()
    while processes(pid) and time.monotonic() - gone < GONE_WITHIN:
        time.sleep(0.02)
    wrong = []
    if left := processes(pid):
        wrong.append(f"{len(left)} processes alive")
        for one in left:
            os.kill(one, signal.SIGKILL)
    told.slowest = max(told.slowest, time.monotonic() - began)
    if code == -getattr(signal, f"SIG{name}") and results(folder) == stage.whole:
        code = 0  # the command had just done all of its work
    if running and code not in (*OK[name], 0):
        wrong.append(f"code {code}: {said(here / 'count')[-1:]}")
    told.running += running and code != 0
    if name != "KILL":
        if running and code and len(said(here / "count")) != 1:
            wrong.append(f"said {said(here / 'count')[-3:]}")
        wrong += [f"left {one}" for one in leftovers(here, folder, [pid])]
        if "train" in stage.words and code:
            told.lost = max(told.lost, lost(folder, here / "count"))
    again = started(words, here / "count")
    code = code_of(again, 300)
    if code != 0:
        wrong.append(f"completing it: code {code}: {said(here / 'count')[-1:]}")
    else:
        found = results(folder)
        names = sorted(k for k in found.keys() | stage.whole.keys() if found.get(k) != stage.whole.get(k))
        wrong += [f"{len(names)} results differ, like {names[0]}"] if names else []
        time.sleep(
            1.0 if leftovers(here, folder, [pid, again]) else 0.0
        )  # what tracks resources ends after the command
        wrong += [f"left at the end {one}" for one in leftovers(here, folder, [pid, again])]
    told.failed += [f"after {share:.0%}: {'; '.join(wrong)}"] if wrong else []


# ---------------------------------------------------------------- stages


def has(*names: str) -> Callable[[Path], bool]:
    """Whether the folder holds something of one of these names."""
    return lambda folder: any(next(folder.glob(name), None) is not None for name in names)


def logged(*names: str) -> Callable[[Path], bool]:
    return lambda folder: any(p.stat().st_size for name in names for p in folder.glob(name))


def never(folder: Path) -> bool:
    return False


def stages(root: Path) -> dict[str, Callable[[], Stage]]:
    """The stages by name; each is made ready when it is called."""

    def run(name: str, words: str) -> Path:
        folder = root / name
        if not folder.exists():
            if code_of(started([*words.split(), "--out", str(folder)], root / f"{name}-count"), 300) != 0:
                raise SystemExit(f"{words} failed: {said(root / f'{name}-count')}")
            imported(root / f"{name}-count")
        return folder

    compare = f"compare moons {COMPARED} {PAIRED} {SMALL}"

    def measuring() -> Stage:
        base = run("compared", f"{compare} --jobs 1")
        for path in [
            *base.glob("study.*"),
            *base.glob("verdict.json"),
            *base.glob("report.html"),
            *base.glob("pictures.*"),
        ]:
            path.unlink()
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        (base / "config.json").write_text(json.dumps({**config, "state": "started"}), encoding="utf-8")
        return Stage([*compare.split(), "--jobs", "1"], has("measured"), has("study.json"), base)

    def distilling() -> Stage:
        teacher = run("cold", f"train moons --method cold --updates 120 {SMALL}")
        words = f"distill {teacher} --updates 60 --online-updates 2 --no-report --no-reflow --quiet"
        return Stage(words.split(), logged("log.jsonl"), never)

    return {
        "training": lambda: Stage(
            f"train moons --method cold --updates 160 {SMALL}".split(), logged("log.jsonl"), never
        ),
        "measuring": measuring,
        "pairing": lambda: Stage(
            f"train moons --method warm-start --updates 60 {PAIRED} {SMALL}".split(),
            has("parts/pairs/*"),
            logged("log.jsonl"),
        ),
        "distilling": distilling,
        "two": lambda: Stage([*compare.split(), "--jobs", "2"], logged("seeds/*/*/log.jsonl"), never),
    }


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--moments", type=int, default=20)
    options.add_argument("--stages", default="training,measuring,pairing,distilling,two")
    options.add_argument("--signals", default="KILL,TERM,INT")
    asked = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    root, failed, parent = Path(tempfile.mkdtemp(prefix="kill-")), 0, os.getpid()
    (root / "tmp").mkdir()
    print(
        f"{'stage':11s} {'signal':6s} {'moments':>7s} {'running':>7s} {'same and clean':>14s} {'lost':>5s} {'slowest end':>11s}"
    )
    made = stages(root)
    for name in asked.stages.split(","):
        stage = made[name]()
        undisturbed(stage, root / "whole")
        undisturbed(stage, root / "whole")  # again, when nothing is left to import
        for signum in asked.signals.split(","):
            told = Told()
            for k in range(asked.moments):
                ended_at(stage, (k + 0.5) / asked.moments, signum, root / "cut", told)
            if signum != "KILL" and told.lost > 1:
                told.failed.append(f"{told.lost} updates lost")
            counted = str(told.lost) if signum != "KILL" and "train" in stage.words else "-"
            good = asked.moments - len(told.failed)
            print(f"{name:11s} {signum:6s} {asked.moments:7d} {told.running:7d} {good:14d} {counted:>5s} {told.slowest:9.2f} s",
                  flush=True)  # fmt: skip
            for line in told.failed:
                print(f"    {line}", flush=True)
            failed += len(told.failed)
    assert os.getpid() == parent
    shutil.rmtree(root, ignore_errors=True)
    print(f"{failed} of {len(asked.stages.split(',')) * len(asked.signals.split(',')) * asked.moments} failed")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
