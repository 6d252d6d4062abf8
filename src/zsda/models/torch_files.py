"""PyTorch's own files, read as data: tensors and plain values, never anything that is executed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zsda.errors import ModelError


def _numpy_float64() -> list[Any]:
    """Names what a float64 of NumPy consists of in a file: the scores so far in the papers' checkpoints. Nothing else is let in."""
    make = np.float64(0).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # in files of NumPy 1 and 2
    return [np.dtype, np.dtypes.Float64DType, *((make, f"{module}.scalar") for module in modules)]


def read_torch_file(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    """Returns what ``torch.save`` wrote, on the CPU, read with ``weights_only=True``.

    A float64 of NumPy is read as well.

    Raises:
        ModelError: the file is damaged, or holds more than tensors and plain values.
    """
    try:
        with torch.serialization.safe_globals(_numpy_float64()):
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
    built = re.search(r"but got <class '([^']+)'>", text)
    if built:
        return f"it holds {built.group(1)}, and nothing of it was executed; expected tensors, plain values and float64 of NumPy only"
    # torch explains at length how to load the file nevertheless, and last what is wrong.
    what = text.rpartition("WeightsUnpickler error: ")[2].partition(" Check the documentation")[0]
    return f"{what[:200] or type(error).__name__}; expected a complete file of tensors and plain values only"
