"""A network in ONNX that is proven to compute the same."""

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zsda.core.errors import ConfigError, ModelError
from zsda.core.reasons import reason

TOLERANCE = 1e-3
"""The largest difference of a logit between torch and ONNX that passes for the same network."""

_OPSET = 18  # what torch's exporter writes by itself; other numbers are reached by a conversion that can fail
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class OnnxNetwork:
    """A network in ONNX.

    Attributes:
        content: the bytes of the file.
        opset: version of its operators.
        difference: the largest absolute difference of a logit from torch, over the images that were compared.
    """

    content: bytes
    opset: int
    difference: float

    def described(self) -> dict[str, Any]:
        """Returns plain values: what it takes and gives, and what wrote it."""
        return {
            "opset": self.opset,
            "input": "images: float32 [batch, 3, height, width]",
            "output": "logits: float32 [batch, classes, height, width]",
            "largest_difference": self.difference,
            "versions": {name: version(name) for name in _PACKAGES},
        }


def check_packages() -> None:
    """Refuses to go on where a package is missing.

    Raises:
        ConfigError: one is.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"format=onnx needs {', '.join(missing)}, not installed here; pip install 'zsda[onnx]', or give format=safetensors, "
            "or others without it"
        )


def to_onnx(model: nn.Module, size: Sequence[int]) -> OnnxNetwork:
    """Translates a network and compares both on a random image, and on a batch of an image of zeros and the random one.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W], in evaluation mode, on the CPU.
        size: height, width; the batch stays free.

    Returns:
        A network with the input ``images``, float32 [B, 3, H, W], and the output ``logits``.

    Raises:
        ModelError: it cannot be translated, or differs by more than `TOLERANCE`.
    """
    name = type(model).__name__
    try:
        content, opset = _translated(model, size)
        difference = _difference(model, content, size)
    except Exception as error:
        # The exporter, the checker and the runtime each have errors of their own, down to bare Exceptions.
        raise ModelError(
            f"{name} cannot be written as ONNX: {reason(error)}; give format=safetensors, or others without it"
        ) from error
    if not difference <= TOLERANCE:  # not a number is no match either
        raise ModelError(
            f"{name} in ONNX differs from torch by {difference:.1e}, expected at most {TOLERANCE:.0e}; not written, "
            "give format=safetensors, or others without it"
        )
    return OnnxNetwork(content, opset, difference)


def _translated(model: nn.Module, size: Sequence[int]) -> tuple[bytes, int]:
    for talkative in ("onnxscript", "onnx_ir"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 3, *size),),  # a batch of one would be taken for a constant
        input_names=["images"],
        output_names=["logits"],
        opset_version=_OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    proto = program.model_proto  # type: ignore[union-attr]  # it is None for the old exporter only
    content = proto.SerializeToString()
    importlib.import_module("onnx.checker").check_model(content, full_check=True)
    return content, next(entry.version for entry in proto.opset_import if entry.domain == "")


def _difference(model: nn.Module, content: bytes, size: Sequence[int]) -> float:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    random = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))

    def compared(images: Tensor) -> float:
        with torch.no_grad():
            expected = model(images).numpy()
        (found,) = session.run(["logits"], {"images": images.numpy()})
        return float(np.abs(found - expected).max())

    return float(np.max([compared(images) for images in (random, torch.cat([torch.zeros_like(random), random]))]))
