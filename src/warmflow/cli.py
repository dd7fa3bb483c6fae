"""The command line: demo, train, sample, compare, evaluate, distill, audit, plan, report.

``warmflow --help`` imports none of them. Every error of the user's is one line on standard error and exit code 2. Ctrl-C,
SIGTERM and SIGHUP leave a run that the same command continues, and exit code 130, 143 or 129 (``signals``).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

from warmflow import __version__, signals
from warmflow.failures import explained
from warmflow.printing import answer, finish, say

COMMANDS: Mapping[str, str] = {
    "demo": "Compare a warm start with cold flows on digits, moons, a grid or a text, in minutes.",
    "compare": "Train methods on a problem and judge them, or judge finished runs.",
    "train": "Train one method on a problem.",
    "sample": "Draw samples from a finished run into a file.",
    "evaluate": "Judge samples that were made by any program, from folders and files.",
    "distill": "Distil a finished run into a student of one call.",
    "audit": "Estimate whether a warm start will help, before anything is trained.",
    "plan": "Say how many training seeds and samples a verdict takes, from a pilot study.",
    "report": "Write one page about one or several run folders.",
}
"""Every command with the line that the help says about it; the file of the same name in ``commands`` makes it."""
STOPPED = "stopped; nothing is lost: run the same command again to continue"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was typed; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with signals.handled(to_the_end=argv is None):
        try:
            with explained():
                return dispatch(words)
        except KeyboardInterrupt as stop:
            say(STOPPED)
            return getattr(stop, "code", 130)
        except ValueError as error:
            return failed(str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return failed(f"{where}{error.strerror or error}; free space or choose another place")
        finally:
            finish()


def dispatch(words: Sequence[str]) -> int:
    """The command that the first word names; without one the help or the version.

    Raises:
        ValueError: no such command, or an error of the user's in it.
    """
    name = words[0] if words else "--help"
    if name in COMMANDS:
        from warmflow.command_line import run

        module = importlib.import_module(f"warmflow.commands.{name}")
        return run(module.command(words[1:]), words[1:])
    if name in ("--help", "-h"):
        answer(introduction())
        return 0
    if name == "--version":
        answer(f"warmflow {__version__}")
        return 0
    from warmflow.options import suggestion

    if name.startswith("-"):
        raise ValueError(f"no such option {name!r}; {suggestion(name, ['--help', '--version'])}; see warmflow --help")
    raise ValueError(f"no such command {name!r}; {suggestion(name, COMMANDS)}; see warmflow --help")


def introduction() -> str:
    """The help of the whole program, written here so that it waits for no import."""
    width = max(map(len, COMMANDS)) + 4
    lines = "\n".join(f"  {name:{width}}{line}" for name, line in COMMANDS.items())
    return f"""Usage: warmflow COMMAND [OPTIONS]

Flow matching from a draft instead of from noise, and a verdict on whether it helps.

Begin with:  warmflow demo

Commands:
{lines}

  -h, --help{"":{width - 10}}Show this text; after a command, its options.
  --version{"":{width - 9}}Show the version."""


def failed(message: str) -> int:
    """Prints the one line of a user's error; the exit code."""
    say("error: " + " ".join(message.split()))
    return 2


if __name__ == "__main__":
    sys.exit(main())
