"""``python -m zsda.export``: writes a trained network as safetensors and ONNX for use elsewhere."""

import logging

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command
from zsda.core.files import check_writable, file_digest, remove_parts
from zsda.core.networks import chosen_network

_log = logging.getLogger(__name__)


@command("export")
def main(config: DictConfig) -> None:
    """Writes ``weights.safetensors``, ``network.onnx`` and ``export.json``."""
    trained = chosen_network(config, "export")
    check_writable("out", trained.out)

    from zsda.data.classes import find_classes
    from zsda.models.portable import check_formats, export_network
    from zsda.models.weights import load_trained

    formats = list(config.format) if OmegaConf.is_list(config.format) else [str(config.format)]
    check_formats(formats)
    trained.check(trained.weights)
    source = {"of": trained.title, "weights": str(trained.weights), "weights_digest": file_digest(trained.weights)}
    names = find_classes(trained.classes).names
    remove_parts(trained.out)
    record = export_network(load_trained(trained), trained.size, formats, trained.out, source, names)
    if record["onnx"] is not None:
        found = record["onnx"]["largest_difference"]
        _log.info("torch and ONNX agree: logits differ by %.1e at most, on a random image and one of zeros", found)
    _log.info("written: %s and export.json in %s", ", ".join(record["files"]), trained.out)


if __name__ == "__main__":
    main()
