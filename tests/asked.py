"""Tells, on any device, what would wait for a GPU."""

import traceback

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")


class Asked(TorchDispatchMode):
    """Notes where the value of a tensor is asked for, which on a GPU waits until it is calculated."""

    def __init__(self):
        super().__init__()
        self.where = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").split(".")[0]
        chosen = name == "index" and any(part is not None and part.dtype == torch.bool for part in args[1])
        if name in _ASKING or chosen:
            self.where.append(traceback.format_stack()[-6:-1])
        return func(*args, **(kwargs or {}))
