"""``python -m zsda.export``: writes a trained network as safetensors and ONNX for use elsewhere."""

import logging

from omegaconf import DictConfig, OmegaConf

from zsda.command import command
from zsda.files import file_digest

_log = logging.getLogger(__name__)


@command("export")
def main(config: DictConfig) -> None:
    """Writes ``weights.safetensors``, ``network.onnx`` and ``export.json``."""
    from zsda.choosing import chosen_subject
    from zsda.models.portable import check_formats, export_network

    formats = list(config.format) if OmegaConf.is_list(config.format) else [str(config.format)]
    check_formats(formats)
    subject = chosen_subject(config, "export")
    network = subject.network()
    source = {"of": subject.title, "weights": str(subject.weights), "weights_digest": file_digest(subject.weights)}
    record = export_network(network, subject.size, formats, subject.out, source)
    if record["onnx"] is not None:
        found = record["onnx"]["largest_difference"]
        _log.info("torch and ONNX agree: logits differ by %.1e at most, on a random image and one of zeros", found)
    _log.info("written: %s and export.json in %s", ", ".join(record["files"]), subject.out)


if __name__ == "__main__":
    main()
