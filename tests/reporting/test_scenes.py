import pytest
import torch
from PIL import Image

from zsda.core.errors import DataError
from zsda.core.trained import TrainedNetwork
from zsda.data.classes import find_classes
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.labels import CITYSCAPES
from zsda.models.weights import save_weights
from zsda.reporting.scenes import adaptation_rows


class Last(torch.nn.Module):
    """Answers with the last of its nine channels."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.arange(9.0))

    def forward(self, images):
        return self.bias[None, :, None, None].expand(len(images), 9, *images.shape[-2:])


@pytest.fixture
def shown(copied_world):
    """A data_root in which the validation scenes have all views, each darker than the one before."""
    for view, factor in (("intermediate", 0.7), ("target", 0.5), ("oracle", 0.3)):
        for image in (copied_world / "cityscapes/leftImg8bit/val").glob("*/*.png"):
            edited = copied_world / f"night_{view}/leftImg8bit/val" / image.parent.name / image.name
            edited.parent.mkdir(parents=True, exist_ok=True)
            Image.open(image).point(lambda value, factor=factor: int(value * factor)).save(edited)
    return copied_world


def network(tmp_path, classes):
    save_weights(Last(), tmp_path / "weights.safetensors")
    return TrainedNetwork("last", tmp_path / "weights.safetensors", [32, 64], tmp_path, Last, classes=classes)


def test_each_scene_is_shown_at_every_station(shown, tmp_path):
    networks = {"before": network(tmp_path, 9), "after": network(tmp_path, "19")}
    captions, rows = adaptation_rows(shown, "night", networks, 2)
    assert captions == [
        "source", "intermediate", "target edit", "rendered target", "ground truth", "before", "after",
    ]  # fmt: skip
    assert [len(row) for row in rows] == [7, 7]
    nine = Cityscapes(shown / "cityscapes", "val", 9)
    for place, (source, *views, truth, before, after) in enumerate(rows):
        assert (source == nine.image(place)).all()
        brightness = [picture.mean() for picture in (source, *views)]
        assert brightness == sorted(brightness, reverse=True)
        assert (truth.ids == nine.mask(place)).all()
        assert truth.classes == before.classes == find_classes(9)
        assert after.classes == CITYSCAPES
        assert (before.ids == 8).all()
        assert before.ids.shape == (64, 128)


def test_a_scene_that_one_view_lacks_is_not_shown(shown, tmp_path):
    images = sorted((shown / "night_target/leftImg8bit/val").glob("*/*.png"))
    images[0].unlink()
    _, rows = adaptation_rows(shown, "night", {"last": network(tmp_path, 9)}, 9)
    assert len(rows) == 3
    assert (rows[0][0] == Cityscapes(shown / "cityscapes", "val").image(1)).all()
    for image in (shown / "night_oracle/leftImg8bit/val").glob("*/*.png"):
        if image.name != images[0].name:
            image.unlink()
    with pytest.raises(DataError, match="no scene that each of night_intermediate, night_target, night_oracle shows"):
        adaptation_rows(shown, "night", {}, 9)
