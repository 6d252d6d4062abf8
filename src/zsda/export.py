"""``python -m zsda.export``: writes a trained network as safetensors and ONNX, or a generated set, for use elsewhere."""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, given
from zsda.core.errors import ConfigError
from zsda.core.files import check_writable, file_digest
from zsda.core.locks import owned
from zsda.core.networks import chosen_network

_log = logging.getLogger(__name__)

_OF_NETWORKS = ("run", "phase", "ckpt", "model", "classes", "format", "size")
_OF_SETS = ("data", "layout", "keep_best", "generated_root")


@command("export")
def main(config: DictConfig) -> None:
    """Writes a network and ``export.json``, or the images of a set with a data card."""
    others = [key for key in (_OF_SETS if config.set is None else _OF_NETWORKS) if given(key)]
    if others:
        rule = "goes with set=NAME only" if config.set is None else "is of networks; give either set= or a network"
        raise ConfigError(f"{others[0]}= {rule}")
    if config.set is not None:
        _export_set(config)
        return
    trained = chosen_network(config, "export")
    check_writable("out", trained.out)

    from zsda.data.classes import find_classes
    from zsda.models.portable import check_formats, export_network
    from zsda.models.weights import load_trained

    formats = config.format if config.format is None or OmegaConf.is_list(config.format) else [str(config.format)]
    check_formats(formats)
    trained.check(trained.weights)
    # The card of a network may be shown to all: it has no place of this machine.
    title = trained.title if config.ckpt is None else trained.weights.name
    source = {"of": title, "weights": str(trained.weights), "weights_digest": file_digest(trained.weights)}
    names = find_classes(trained.classes).names
    epoch = max(trained.epochs, default=None)
    with owned(trained.out):
        record = export_network(load_trained(trained), trained.size, formats, trained.out, source, names, epoch)
    if record["onnx"] is not None:
        found = record["onnx"]["largest_difference"]
        _log.info("torch and ONNX agree: logits differ by %.1e at most, on a random image and one of zeros", found)
    _log.info("written: %s and export.json in %s", ", ".join(record["files"]), trained.out)


def _export_set(config: DictConfig) -> None:
    from zsda.data.inventory import open_named
    from zsda.generation.portable import export_set
    from zsda.miniature.writer import MARKER

    data_root, file = Path(config.data_root), OmegaConf.select(config, "data.file")
    if given("data") and file is None:
        raise ConfigError("data= goes with data.file=FILE, own data; expected none for a set of Cityscapes")
    sets = open_named(
        str(config.set), data_root, Path(config.generated_root), None if file is None else Path(file), config.keep_best
    )
    default = Path(config.runs_root) / "export" / sets[0].name / config.layout
    out = default if config.out is None else Path(config.out)
    check_writable("out", out)
    rendered = file is None and (data_root / MARKER).is_file()
    with owned(out):
        count = export_set(sets, out, config.layout, config.keep_best, rendered)
    _log.info("written: %d images of %s with their masks, and README.md, a data card, in %s", count, sets[0].name, out)


if __name__ == "__main__":
    main()
