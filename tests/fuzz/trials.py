"""What is done with a mutated file, and what must not happen: a traceback, a hang, a large allocation, a tag in a page.

Trials run in forked processes whose address space may grow by at most ``ROOM``. After each one, the growth of the peak of the
address space (``VmPeak``) says what was allocated at most, whether it was written to or not. An error whose cause was a lack of
memory counts as an allocation, even where it was made one line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from warmflow import cli

SECONDS, LARGEST, ROOM = 10, 2**30, 3 * 2**30
WAIT = 60
"""Seconds on the clock after which a trial hangs that does not compute: other programs may slow it down."""
CHUNK = 40
Attempt = Callable[[], object]


class Hang(BaseException):
    """A trial took longer than ``SECONDS``."""


class Enough(BaseException):
    """Everything that comes from the file was read: what follows is measured data and takes too long for thousands of trials."""


@dataclass(frozen=True)
class Trial:
    """One mutated file.

    Args:
        kind: what the file is, by which a failing seed is replayed.
        run: mutates a copy of the folder and says what is tried: (name, action) pairs.
    """

    kind: str
    seed: int
    run: Callable[[Path, int], Iterable[tuple[str, Attempt]]]


@dataclass(frozen=True)
class Fault:
    """What went wrong with a trial."""

    what: str
    kind: str
    seed: int
    said: str

    def __str__(self) -> str:
        return f"{self.what} in {self.kind}, seed {self.seed}: {self.said}"


# ---------------------------------------------------------------- one trial


def address_space(key: str) -> int:
    """Bytes of the address space of this process, now (VmSize) or at its peak (VmPeak)."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{key}:"))


def lacked_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised for, is that an allocation was refused. Python's parser says so of its stack."""
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        parsing = bool(frames) and frames[-1].filename.endswith("ast.py")
        if (isinstance(error, MemoryError) and not parsing) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def outcome(error: BaseException) -> str:
    """What is wrong with an error; empty for one line of a ValueError or an OSError."""
    if lacked_memory(error) and "nested too deeply" not in str(error):
        return f"allocation: {type(error).__name__}: {str(error)[:200]}"
    ours = [f for f in traceback.extract_tb(error.__traceback__) if "/warmflow/" in f.filename]
    place = f"{ours[-1].filename.split('/warmflow/')[-1]}:{ours[-1].lineno}" if ours else "?"
    if not isinstance(error, ValueError | OSError):
        return f"traceback: {type(error).__name__}: {str(error)[:200]!r} at {place}"
    said = str(error)
    if "\n" in said.strip() or not said.strip() or len(said) > 2_000:
        return f"message: not one line of at most 2,000 characters: {said[:200]!r} ({type(error).__name__}) at {place}"
    if isinstance(error, UnicodeError) or type(error).__name__ == "JSONDecodeError":
        return f"message: of a decoder, {said[:200]!r} at {place}"
    return ""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raises ``Hang`` in what takes too long."""

    def late(*_: object) -> None:
        raise Hang

    for each, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, WAIT),
    ):
        signal.signal(each, late)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def tried(act: Attempt) -> str:
    """What is wrong with an action; empty for nothing."""
    before = address_space("VmPeak")
    try:
        with limited(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            act()
        found = ""
    except Enough:
        found = ""
    except Hang as error:
        found = f"hang: {[f'{f.filename}:{f.lineno}' for f in traceback.extract_tb(error.__traceback__)][-6:]}"
    except BaseException as error:
        found = outcome(error)
    grown = address_space("VmPeak") - before
    return found or (f"allocation: {grown / 2**30:.1f} GB" if grown > LARGEST else "")


def command(*words: str) -> Attempt:
    """A command as it is typed. Exit codes other than 0 and 2 are faults, and so is the error that was made the one line."""

    def act() -> None:
        seen: list[BaseException] = []
        before = cli.failed

        def failed(message: str) -> int:
            seen.append(sys.exc_info()[1] or AssertionError("no error"))
            return before(message)

        cli.failed = failed
        try:
            code = cli.main(list(words))
        finally:
            cli.failed = before
        if seen:
            raise seen[0]
        assert code in (0, 2), f"exit code {code}"

    return act


# ---------------------------------------------------------------- pages


class Tags(HTMLParser):
    """The tags and attributes of a page, and what looks like a script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        for name, value in attrs:
            self.found.add(f"{tag} {name}")
            if name in ("href", "src", "action") and not (value or "").startswith(("#", "data:image/png;base64,")):
                self.found.add(f"{tag} {name} to {(value or '')[:40]}")


def tags(page: str) -> set[str]:
    """The tags of a page with their attributes, and links to anything but the page itself and its images."""
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser.found


def reported(folder: Path, known: set[str]) -> Attempt:
    """The page of a folder, which must not have other tags than those of the unmutated pages."""

    def act() -> None:
        page = folder / "page.html"
        page.unlink(missing_ok=True)
        command("report", str(folder), "--out", str(page))()
        if page.exists():
            new = tags(page.read_text(encoding="utf-8")) - known
            assert not new, f"tags that do not belong to a page: {sorted(new)}"

    return act


# ---------------------------------------------------------------- many trials


def chunk(trials: Sequence[Trial], scratch: Path, out: Path) -> None:
    """The trials of one process; the faults go to a file, a line each."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space("VmSize") + ROOM,) * 2)
    with open(out, "a", encoding="utf-8") as file:
        for trial in trials:
            folder = scratch / f"{trial.kind.replace('/', '-')}-{trial.seed}"
            folder.mkdir()
            file.write(json.dumps({"begun": [trial.kind, trial.seed]}) + "\n")
            file.flush()
            for name, act in trial.run(folder, trial.seed):
                found = tried(act)
                if found:
                    what, _, said = found.partition(": ")
                    line = {"what": what, "kind": trial.kind, "seed": trial.seed, "said": f"{name}: {said}"}
                    file.write(json.dumps(line) + "\n")
                    file.flush()
            shutil.rmtree(folder, ignore_errors=True)


def faults(trials: Sequence[Trial]) -> list[Fault]:
    """The faults of trials, which run in forked processes one after the other."""
    found: list[Fault] = []
    with tempfile.TemporaryDirectory() as name:
        scratch, left = Path(name), list(trials)
        while left:
            now, left = left[:CHUNK], left[CHUNK:]
            out = scratch / f"faults-{time.monotonic_ns()}"
            child = os.fork()
            if child == 0:
                try:
                    chunk(now, scratch, out)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
            found += [Fault(**line) for line in lines if "what" in line]
            if status:
                kind, seed = [line["begun"] for line in lines if "begun" in line][-1]
                found.append(Fault("crash", kind, seed, f"the process ended with status {status}"))
                begun = sum("begun" in line for line in lines)
                left = [*now[begun:], *left]
    return found


def described(found: Sequence[Fault]) -> str:
    """Faults in the form of a message: how to replay each one."""
    return "\n".join(
        [f"{len(found)} faults; replay one by: python tests/fuzz/test_fuzz.py KIND SEED", *map(str, found)]
    )
