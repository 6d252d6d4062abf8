"""``python -m zsda.predict``: predicts label maps of any photographs or of a video."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, given
from zsda.core.config import build_machine
from zsda.core.errors import ConfigError, DataError
from zsda.core.files import check_writable, file_digest
from zsda.core.locks import owned
from zsda.core.networks import chosen_network
from zsda.core.trained import TrainedNetwork

if TYPE_CHECKING:
    from zsda.evaluation.protocols import Protocol
    from zsda.prediction.inputs import Input

_log = logging.getLogger(__name__)


@command("predict")
def main(config: DictConfig) -> None:
    """Predicts, and writes what is asked for."""
    from zsda.evaluation.protocols import chosen_protocol
    from zsda.prediction.inputs import find_input

    if config.format is not None and given("write"):
        raise ConfigError(f"format={config.format} says what is written; give either format= or write=")
    results = [Path(place) for place in (config.runs_root, config.out) if place is not None]
    found = find_input(Path(config.input), results)
    if config.format is not None and found.video is not None:
        raise ConfigError(f"format={config.format} is for photographs; of a video give write=")
    # A window is seen as it is, where nothing else is asked for.
    size = config.window if config.window is not None and not given("size") else config.size
    size, scales = (
        OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for value in (size, config.scales)
    )
    protocol = chosen_protocol(config.protocol, size, scales, config.mirror)
    trained = chosen_network(config, "predict")
    out = trained.out if config.out is not None else trained.out / found.name
    if out.resolve() == Path(config.input).resolve():
        raise ConfigError(f"out={out} is what is predicted; expected a folder of its own for the predictions")
    check_writable("out", out)
    with owned(out):
        _predict(config, found, trained, protocol, out)


def _predict(config: DictConfig, found: "Input", trained: TrainedNetwork, protocol: "Protocol", out: Path) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from zsda.core.provenance import provenance
    from zsda.data.classes import find_classes
    from zsda.data.faults import FaultLog
    from zsda.evaluation.inference import inference_by
    from zsda.models.sizes import check_sizes
    from zsda.models.weights import load_trained
    from zsda.prediction.outputs import Painter, chosen_layout
    from zsda.prediction.photos import pack, predict_photos
    from zsda.prediction.predictor import Predictor
    from zsda.prediction.store import PredictionStore
    from zsda.prediction.videos import predict_video

    write = [config.write] if isinstance(config.write, str) else list(config.write)
    layout, classes = chosen_layout(write, config.format), find_classes(trained.classes)
    painter, places = Painter(classes, layout.kinds), layout.places(found.photos)
    size = list(protocol.size or trained.size)
    window = None if config.window is None else list(config.window)
    model = load_trained(trained)
    check_sizes(model, [("scales", scale) for scale in protocol.scales] or [("size", size)])
    machine = build_machine(config)
    trainer = machine.trainer(logger=False, enable_checkpointing=False)
    precision = trainer.strategy.precision_plugin
    model = precision.convert_module(model).to(trainer.strategy.root_device)
    predictor = Predictor(
        model, inference_by(protocol, size), len(classes), window, config.overlap, precision.forward_context
    )
    settings = {
        "classes": classes.plain(),
        "format": config.format,
        "network": trained.network,
        "overlap": None if window is None else config.overlap,
        "precision": machine.precision,
        "protocol": protocol.name,
        "size": size,
        "weights": file_digest(trained.weights),
        "window": window,
    }
    store = PredictionStore(out, settings, {**provenance(), "network": trained.title}, config.again)
    faults = FaultLog()
    with Progress(console=Console(stderr=True)) as progress:
        if found.video is not None:
            frames = predict_video(found.video, layout.kinds, predictor, painter, store, progress)
            told = "a video, finished before" if frames is None else f"a video of {frames} frames"
        else:
            known = predict_photos(
                found.photos,
                places,
                predictor,
                painter,
                store,
                faults,
                progress,
                machine.workers,
                layout.size,
                layout.archive,
            )
            good = len(found.photos) - len(faults.messages)
            told = f"{good} of {len(found.photos)} photographs{f', {known} of them before' if known else ''}"
            if not good:
                raise DataError(f"no photograph could be read: {faults.first()}")
    if layout.archive is not None:
        pack(out / layout.archive, out, [place for one in places.values() for place in one.values()])
    _log.info("predicted %s by %s: %s in %s", told, trained.title, ", ".join(layout.kinds), out)
    faults.conclude(f"predicted, the results are in {out}")


if __name__ == "__main__":
    main()
