"""An Apple GPU that needs none: a device called "mps" that computes on the CPU and refuses what the real one refuses.

It has no float64, and its tensors do not mix with those of the CPU, except for numbers, copies and indices. A tensor on it is a
wrapper of a CPU tensor; a dispatch mode makes those that are asked for by ``device="mps"``.

    with apple_gpu():
        torch.zeros(3, device="mps").double()    # TypeError, as on a Mac
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

MPS = torch.device("mps:0")
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
INDEXES = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._unsafe_index.Tensor,
    aten.index_put_.hacked_twin,
}
"""Operations that take indices from the CPU."""


class OnMps(torch.Tensor):
    """A tensor on the stand-in."""

    @staticmethod
    def __new__(cls, elem: torch.Tensor) -> OnMps:
        if elem.dtype == torch.float64 or elem.dtype == torch.complex128:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        made = torch.Tensor._make_wrapper_subclass(
            cls, elem.shape, strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype, layout=elem.layout,
            device="cpu",
        )  # fmt: skip
        made.elem = elem
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return MPS

    def __repr__(self) -> str:
        return f"OnMps({self.elem!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def __deepcopy__(self, memo):
        made = self.detach().clone().requires_grad_(self.requires_grad)
        made = torch.nn.Parameter(made, self.requires_grad) if isinstance(self, torch.nn.Parameter) else made
        memo[id(self)] = made
        return made


def computed(func, args, kwargs):
    """The operation on the CPU, its results on the stand-in if it belongs there."""
    flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    ours = [x for x in flat if isinstance(x, OnMps)]
    if ours and kwargs.get("dtype") in (torch.float64, torch.complex128):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
    asked = kwargs.get("device")
    there = asked is not None and torch.device(asked).type == "mps"
    if ours and func not in MOVES:
        indices = tree_flatten(args[1])[0] if func in INDEXES else []
        others = [x for x in flat if not isinstance(x, OnMps) and x.ndim and not any(x is i for i in indices)]
        if others:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {func} has one on mps:0 and one on cpu"
            )
    if ours and func in INDEXES and not isinstance(args[0], OnMps):
        raise RuntimeError(f"indices should be either on cpu or on the same device as the indexed tensor: {func}")
    plain_args, plain = tree_map(lambda x: x.elem if isinstance(x, OnMps) else x, (args, kwargs))
    if asked is not None:
        plain["device"] = torch.device("cpu")
    out = func(*plain_args, **plain)
    if func is aten._local_scalar_dense.default:
        return out
    wraps = there if asked is not None else isinstance(args[0], OnMps) if func in MOVES else bool(ours)
    if not wraps:
        return args[0] if func is aten.copy_.default else out
    found = tree_map(lambda x: OnMps(x) if isinstance(x, torch.Tensor) and not isinstance(x, OnMps) else x, out)
    return return_and_correct_aliasing(func, args, kwargs, found)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


class _Moves(TorchFunctionMode):
    """Tensor.to with a device that this build of torch does not know."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        x = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if func is torch.Tensor.numpy and isinstance(x, OnMps):
            raise TypeError("can't convert mps:0 device type tensor to numpy. Use Tensor.cpu() first")
        if func is torch.Tensor.cpu:
            return _moved(x, torch.device("cpu"), x.dtype)
        if func is torch.Tensor.to:
            if isinstance(args[1] if len(args) > 1 else None, torch.Tensor):
                device, dtype = args[1].device, args[1].dtype
            else:
                device, dtype, *_ = torch._C._nn._parse_to(
                    *args[1:], **{k: v for k, v in kwargs.items() if k != "copy"}
                )
            return _moved(x, device or x.device, dtype or x.dtype)
        return func(*args, **kwargs)


def _moved(x: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    same = (device.type, dtype) == (x.device.type, x.dtype)
    return x if same else aten._to_copy.default(x, device=device, dtype=dtype)


@contextlib.contextmanager
def apple_gpu() -> Iterator[None]:
    """A device "mps" inside this context."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # a wrapper cannot become the data of a plain parameter
    try:
        with _Mode(), _Moves():
            yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
