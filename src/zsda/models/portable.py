"""A trained network as files that other programs read: safetensors, and ONNX that is proven to compute the same."""

import importlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zsda.core.errors import ConfigError, ModelError
from zsda.core.files import file_digest, to_json, write_atomic
from zsda.core.provenance import provenance
from zsda.core.reasons import reason
from zsda.core.values import SIZE
from zsda.data.colours import MEAN, STD
from zsda.models.sizes import check_sizes
from zsda.models.weights import save_weights

FORMATS = {"safetensors": "weights.safetensors", "onnx": "network.onnx"}
"""What can be asked for, and the file that it becomes."""

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


def check_formats(formats: Sequence[str]) -> None:
    """Refuses formats that cannot be written here.

    Raises:
        ConfigError: none or an unknown one is asked for, or a package that it needs is not installed.
    """
    if not formats or not set(formats) <= set(FORMATS):
        raise ConfigError(f"format=[{','.join(formats)}]; expected one or both of {', '.join(FORMATS)}")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None] if "onnx" in formats else []
    if missing:
        raise ConfigError(
            f"format=onnx needs {', '.join(missing)}, not installed here; pip install 'zsda[onnx]', or give format=safetensors"
        )


def export_network(
    model: nn.Module,
    size: Sequence[int],
    formats: Sequence[str],
    out: Path,
    source: Mapping[str, Any],
    names: Sequence[str],
) -> dict[str, Any]:
    """Writes the files of each format and ``export.json``, which says how to use them and where they are from.

    Nothing is written before all of it is known to be good.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W]; is put into evaluation mode.
        size: height, width of the images.
        formats: keys of `FORMATS`.
        out: folder, is created.
        source: plain values that say which weights these are.
        names: of the classes that it tells apart.

    Returns:
        What ``export.json`` holds.

    Raises:
        ConfigError: an unknown format, a missing package, or a size that the network does not take.
        ModelError: the network cannot be written as ONNX, or computes something else there.
        StoreError: the disk refuses.
    """
    check_formats(formats)
    SIZE.check("size", size)
    check_sizes(model, [("size", size)])
    model.eval()
    with torch.no_grad():
        channels = model(torch.zeros(1, 3, *size)).shape[1]
    network = to_onnx(model, size) if "onnx" in formats else None
    if "safetensors" in formats:
        save_weights(model, out / FORMATS["safetensors"])
    if network is not None:
        write_atomic(out / FORMATS["onnx"], network.content)
    record = {
        "source": dict(source),
        "files": {FORMATS[name]: file_digest(out / FORMATS[name]) for name in formats},
        "classes": class_names(channels, names),
        "size": list(size),
        "normalisation": {"scale": 255, "mean": _decimals(MEAN), "std": _decimals(STD)},
        "onnx": None if network is None else _described(network),
        "provenance": provenance(),
    }
    write_atomic(out / "export.json", to_json(record))
    return record


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
        raise ModelError(f"{name} cannot be written as ONNX: {reason(error)}; give format=safetensors") from error
    if not difference <= TOLERANCE:  # not a number is no match either
        raise ModelError(
            f"{name} in ONNX differs from torch by {difference:.1e}, expected at most {TOLERANCE:.0e}; not written, "
            "give format=safetensors"
        )
    return OnnxNetwork(content, opset, difference)


def class_names(channels: int, names: Sequence[str]) -> list[str]:
    """Names the output channels in their order; those beyond the classes are "void", which is never right."""
    return [*names[:channels], *["void"] * (channels - len(names))]


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


def _described(network: OnnxNetwork) -> dict[str, Any]:
    return {
        "opset": network.opset,
        "input": "images: float32 [batch, 3, height, width]",
        "output": "logits: float32 [batch, classes, height, width]",
        "largest_difference": network.difference,
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _decimals(values: np.ndarray) -> list[float]:
    return [float(str(value)) for value in values]  # 0.485, where float(value) would give 0.48500001430511475
