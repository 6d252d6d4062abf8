"""A trained network as files that other programs read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from zsda.core.errors import ConfigError
from zsda.core.exported import RECORD, check_place
from zsda.core.files import digest, remove_parts, to_json, write_atomic
from zsda.core.markdown import code
from zsda.core.provenance import provenance
from zsda.core.values import SIZE
from zsda.data.colours import MEAN, STD
from zsda.models.onnx_files import check_packages, to_onnx
from zsda.models.published import PUBLISHED, publishes, to_published
from zsda.models.sizes import check_sizes
from zsda.models.weights import to_safetensors

FORMATS = ("safetensors", "onnx", "smp", "published")
"""What can be asked for."""

_FILES = {
    "safetensors": ["weights.safetensors"],
    "onnx": ["network.onnx"],
    "smp": ["smp/config.json", "smp/model.safetensors", "smp/README.md"],
    "published": ["published.pth.tar", "published.pth"],
}
_LIBRARY = "segmentation_models_pytorch"


def check_formats(formats: Sequence[str] | None) -> None:
    """Refuses formats that cannot be written here.

    Args:
        formats: some of `FORMATS`; None is all that a network can have.

    Raises:
        ConfigError: none or an unknown one is asked for, or a package that it needs is not installed.
    """
    if formats is not None and (not formats or not set(formats) <= set(FORMATS)):
        raise ConfigError(f"format=[{','.join(formats)}]; expected some of {', '.join(FORMATS)}")
    if formats is None or "onnx" in formats:
        check_packages()


def export_network(
    model: nn.Module,
    size: Sequence[int],
    formats: Sequence[str] | None,
    out: Path,
    source: Mapping[str, Any],
    names: Sequence[str],
    epoch: int | None = None,
) -> dict[str, Any]:
    """Writes the files of each format and ``export.json``, which says how to use them and where they are from.

    Nothing is written before all of it is known to be good. Then the files of an earlier export go.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W]; is put into evaluation mode.
        size: height, width of the images.
        formats: some of `FORMATS`; None is all that the network can have.
        out: folder, is created.
        source: plain values that say which weights these are, by ``of`` how they are called.
        names: of the classes that it tells apart.
        epoch: after which these weights were kept; None where it is not known.

    Returns:
        What ``export.json`` holds.

    Raises:
        ConfigError: an unknown format, one that the network cannot have, a missing package, or a size that it does not take.
        ModelError: the network cannot be written as ONNX, or computes something else there.
        StoreError: there are files that no export wrote, or that were changed since; or the disk refuses.
    """
    check_formats(formats)
    chosen = _formats_of(model, formats)
    earlier = check_place(out, "network", [RECORD, *(name for one in chosen for name in _FILES[one])])
    SIZE.check("size", size)
    check_sizes(model, [("size", size)])
    model.eval()
    with torch.no_grad():
        channels = model(torch.zeros(1, 3, *size)).shape[1]
    record: dict[str, Any] = {
        "source": dict(source),
        "classes": class_names(channels, names),
        "size": list(size),
        "normalisation": {"scale": 255, "mean": _decimals(MEAN), "std": _decimals(STD)},
        "onnx": None,
        "provenance": provenance(),
    }
    contents: dict[str, bytes] = {}
    if "onnx" in chosen:
        network = to_onnx(model, size)
        contents["network.onnx"], record["onnx"] = network.content, network.described()
    if "safetensors" in chosen:
        contents["weights.safetensors"] = to_safetensors(model)
    if "smp" in chosen:
        contents |= {f"smp/{name}": content for name, content in _of_library(model, record).items()}
    if "published" in chosen:
        name, content = to_published(model, epoch)
        contents[name] = content
    record["files"] = {name: digest(content) for name, content in contents.items()}
    for path in earlier:
        path.unlink(missing_ok=True)
    remove_parts(out, below=True)
    # The record first: what a killed export leaves is known as its own.
    for name, content in {RECORD: to_json(record), **contents}.items():
        write_atomic(out / name, content)
    return record


def class_names(channels: int, names: Sequence[str]) -> list[str]:
    """Names the output channels in their order; those beyond the classes are "void", which is never right."""
    return [*names[:channels], *["void"] * (channels - len(names))]


def _formats_of(model: nn.Module, asked: Sequence[str] | None) -> list[str]:
    fits = {"smp": type(model).__module__.partition(".")[0] == _LIBRARY, "published": publishes(model)}
    if asked is None:
        return [name for name in FORMATS if fits.get(name, True)]
    network = type(model).__name__
    if "smp" in asked and not fits["smp"]:
        raise ConfigError(f"format=smp is for networks of segmentation-models-pytorch (model=smp), this is a {network}")
    if "published" in asked and not fits["published"]:
        raise ConfigError(
            f"format=published is for the networks that the code of the papers builds, {PUBLISHED}; this {network} is none of them"
        )
    return list(asked)


def _of_library(model: Any, record: Mapping[str, Any]) -> dict[str, bytes]:  # noqa: ANN401 - its own methods
    """Returns the files that ``segmentation_models_pytorch.from_pretrained`` reads, by their names, with a card of our own."""
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        files = {name: Path(folder, name).read_bytes() for name in ("config.json", "model.safetensors")}
    return {**files, "README.md": _card(record).encode()}


def _card(record: Mapping[str, Any]) -> str:
    (height, width), normalisation = record["size"], record["normalisation"]
    void = ", that of void left out, which is never right" if "void" in record["classes"] else ""
    classes = "\n".join(f"| {number} | {code(name)} |" for number, name in enumerate(record["classes"]))
    return f"""---
library_name: segmentation-models-pytorch
pipeline_tag: image-segmentation
license: other
tags:
- segmentation-models-pytorch
- semantic-segmentation
- domain-adaptation
- zsda
---
# {code(record["source"]["of"])}

Segments street scenes. Exported by zsda {record["provenance"]["versions"]["zsda"]}.

```python
import segmentation_models_pytorch as smp

model = smp.from_pretrained("FOLDER").eval()   # float32 [B, 3, H, W] -> logits [B, {len(record["classes"])}, H, W]
```

Images are RGB, resized to {height} x {width} (height x width), divided by {normalisation["scale"]}, less the mean
{normalisation["mean"]}, divided by the standard deviation {normalisation["std"]}. The class of a pixel is the largest logit{void}:

| channel | class |
| --- | --- |
{classes}

The weights stay under the terms of the data and the start weights that they were trained from; zsda grants no licence to them.
`license: other` is yours to make more precise.
"""


def _decimals(values: np.ndarray) -> list[float]:
    return [float(str(value)) for value in values]  # 0.485, where float(value) would give 0.48500001430511475
