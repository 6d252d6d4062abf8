"""``eval protocol=hiast``: the published evaluation of HIAST (Zhu et al., TPAMI 2025)."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.models import resnet101

from tests.conftest import one_line
from tests.reference import state_dict
from zsda.core.files import file_digest
from zsda.data.colours import normalise
from zsda.data.datasets.acdc import ACDC
from zsda.models.deeplab import DeepLabV2

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
SCALES = [[40, 88], [48, 96]]


@pytest.fixture(scope="module")
def weights(world):
    """The recorded network, its answers shifted so that no class wins everywhere."""
    weights = state_dict("hiast_deeplabv2_resnet101")
    network = DeepLabV2(19).eval()
    network.load_state_dict(weights)
    image = normalise(torch.tensor(ACDC(world / "ACDC", "night").pixels(0)))
    with torch.inference_mode():
        weights["aspp.conv2d_list.0.bias"] -= network.forward_features(image[None]).mean(dim=(0, 2, 3))
    return weights


def saved(weights, path):
    torch.save({f"module.seg_model.{key}": value for key, value in weights.items()}, path)
    return path


@pytest.fixture
def two_sizes(copied_world):
    """Night with a first frame of another size."""
    sample = ACDC(copied_world / "ACDC", "night").samples[0]
    for path in (sample.image, sample.label):
        Image.open(path).resize((100, 50), Image.Resampling.NEAREST).save(path)
    return copied_world


def reference(weights, images, sizes, scales, mirror):
    """What the published network and evaluation answer, with torch and torchvision alone: a label map for each image."""
    backbone = resnet101(replace_stride_with_dilation=[False, True, True])
    backbone.fc = torch.nn.Identity()
    own = {key.removeprefix("backbone."): v for key, v in weights.items() if key.startswith("backbone.")}
    backbone.load_state_dict(own)
    backbone.eval().to(memory_format=torch.channels_last)

    def probabilities(seen):
        maps = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(seen))))
        for layer in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4):
            maps = layer(maps)
        branches = [
            F.conv2d(
                maps,
                *(weights[f"aspp.conv2d_list.{n}.{part}"] for part in ("weight", "bias")),
                padding=rate,
                dilation=rate,
            )
            for n, rate in enumerate((6, 12, 18, 24))
        ]
        return resized(sum(branches), seen.shape[-2:]).softmax(dim=1)

    def resized(maps, size):
        return F.interpolate(maps, size, mode="bilinear", align_corners=True)

    totals = [torch.zeros(1, 19, *size) for size in sizes]
    with torch.inference_mode():
        for scale in scales:
            seen = torch.cat([resized(image[None], scale) for image in images])
            seen = seen.contiguous(memory_format=torch.channels_last)
            found = probabilities(seen)
            if mirror:
                found = found + probabilities(seen.flip(-1)).flip(-1)
            for number, size in enumerate(sizes):
                totals[number] += resized(found[number : number + 1], size)
    return [total[0].argmax(dim=0).numpy() for total in totals]


@pytest.mark.parametrize(
    ("words", "scales", "mirror", "name"),
    [
        (["size=[48,96]"], [[48, 96]], False, "hiast"),
        (["size=[48,96]", f"scales={json.dumps(SCALES)}", "mirror=true"], SCALES, True, "hiast_40x88+48x96_mirror"),
    ],
    ids=["one size", "two sizes and mirrored"],
)
def test_a_published_checkpoint_is_scored_as_the_published_code_does(
    zsda, weights, two_sizes, tmp_path, words, scales, mirror, name
):
    path = saved(weights, tmp_path / "HIAST_final.pth")
    common = [
        "setting=night",
        f"data_root={two_sizes}",
        "trainer=cpu",
        "machine.num_workers=0",
        "out=scores",
        "masks=true",
    ]
    result = zsda("eval", f"ckpt={path}", "model=deeplabv2", "protocol=hiast", *common, *words)
    assert result.returncode == 0, result.stderr
    stored = json.loads((tmp_path / f"work/scores/night_{name}/scores.json").read_text())
    assert (stored["protocol"], stored["weights_digest"]) == (name, file_digest(path))

    dataset = ACDC(two_sizes / "ACDC", "night")
    pictures, labels = zip(
        *((sample["image"], sample["mask"]) for sample in map(dataset.__getitem__, range(3))), strict=True
    )
    assert {label.shape for label in labels} == {(50, 100), (64, 128)}
    tensors = [((torch.tensor(np.array(p)).float() / 255 - MEAN) / STD).permute(2, 0, 1) for p in pictures]
    expected = reference(weights, tensors, [label.shape for label in labels], scales, mirror)
    confusion = np.zeros((19, 20), np.int64)
    for prediction, label in zip(expected, labels, strict=True):
        np.add.at(confusion, (label[label != 255], prediction[label != 255]), 1)
    assert np.count_nonzero(confusion.sum(axis=0)) > 8, "the network tells something apart"
    assert stored["settings"]["night"]["confusion"] == confusion.tolist()

    assert f"protocol {name}" in result.stdout
    assert "mIoU of 16 classes" in result.stdout
    masks = [
        np.array(Image.open(tmp_path / f"work/scores/night_{name}/masks/night/{s.key}.png")) for s in dataset.samples
    ]
    for mask, prediction in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(mask, prediction)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mirror=true"], "mirror=true sums probabilities, which protocol=sdgpa does not; expected protocol=hiast"),
        (["protocol=full", "scales=[[8,16]]"], "scales=[[8, 16]] sums probabilities, which protocol=full does not"),
        (["protocol=hiast", "scales=[8,16]"], "scales=[8,16]; expected a list of heights and widths in pixels"),
        (["protocol=hiast", "mirror=no"], "mirror=no; expected true or false"),
        (["masks=off"], "masks=off; expected true or false"),
        (["epochs=1"], "epochs=1; expected last or all"),
        (["protocol=hiast_mirror"], "protocol=hiast_mirror is the name of a result; give protocol=hiast mirror=true"),
        (["protocol=hiast", "size=[8,0]"], "size=[8,0]; expected height and width in pixels"),
    ],
)
def test_bad_choices_get_one_line(zsda, world, words, message):
    result = zsda("eval", "setting=night", f"data_root={world}", "trainer=cpu", *words)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)
