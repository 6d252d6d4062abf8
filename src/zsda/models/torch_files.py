"""PyTorch's own files, read as data: tensors and plain values, never anything that is executed."""

import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zsda.core.errors import ModelError
from zsda.core.reasons import reason


class _Float64:
    """Stands for NumPy's type float64 while a file is read; what the file would set of it is not looked at."""

    def __setstate__(self, state: object) -> None:
        """Takes byte order and flags, which never change what 8 bytes in the papers' files mean."""


def _dtype(name: object, *_flags: object) -> _Float64:
    if name != "f8":
        raise pickle.UnpicklingError(f"GLOBAL numpy.dtype({re.sub(r'[^0-9A-Za-z]', '', str(name))[:12]})")
    return _Float64()


def _scalar(dtype: object, content: object) -> float:
    if not isinstance(dtype, _Float64) or not isinstance(content, bytes) or len(content) != struct.calcsize("<d"):
        raise pickle.UnpicklingError("GLOBAL numpy.scalar")
    return float(struct.unpack("<d", content)[0])


# A float64 of NumPy, as the papers' checkpoints hold their scores, consists of these names. Ours are called in their place: NumPy's
# would make numbers of any type and size of what a file says.
_FLOAT64: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_dtype, "numpy.dtype"),
    (_scalar, "numpy.core.multiarray.scalar"),  # NumPy 1
    (_scalar, "numpy._core.multiarray.scalar"),
    (_Float64, "numpy.dtypes.Float64DType"),
]


def read_torch_file(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    """Returns what ``torch.save`` wrote, on the CPU, read with ``weights_only=True``.

    A float64 of NumPy is read as well, and becomes a float.

    Raises:
        ModelError: the file is damaged, or holds more than tensors and plain values.
    """
    try:
        with torch.serialization.safe_globals(_FLOAT64):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # What a damaged file makes the reader stumble over is not enumerable; that it cannot be read is all there is to know.
        raise ModelError(f"{path} cannot be read as weights: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    refused = re.search(r"GLOBAL (\S+)", text)
    if refused:
        return (
            f"it holds {refused.group(1)}, which is no weight, and nothing of it was executed; expected tensors and plain values "
            "only: save the state dict alone where the file was made"
        )
    what = reason(error).rpartition("WeightsUnpickler error: ")[2]
    return f"{what}; expected a complete file of tensors and plain values only"
