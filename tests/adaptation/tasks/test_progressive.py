import functools
import zlib

import hydra
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.reference import image, recorded, state_dict
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.core.config import build, conf_dir
from zsda.core.errors import ConfigError
from zsda.data.labels import IGNORE
from zsda.models.deeplab import DeepLabV3Plus
from zsda.training.schedules import Poly


def task_of(model=None, kind=ProgressiveAdaptation, **more):
    torch.manual_seed(0)
    made = kind(
        model=model or nn.Conv2d(3, 20, 1),
        optimizer=functools.partial(torch.optim.SGD, lr=0.1),
        schedule=Poly(),
        horizon=1,
        unit="epoch",
        **more,
    )
    made.logged = {}
    made.log = lambda name, value, **_how: made.logged.update({name: value.item()})
    return made


def batch_of(*views):
    mask = torch.randint(0, 19, (2, 4, 5), dtype=torch.uint8)
    mask[0, 0] = 255
    return {"images": {view: torch.randn(2, 3, 4, 5) for view in views}, "mask": mask}


@pytest.mark.parametrize("views", [["source"], ["source", "intermediate"], ["a", "b", "c"]])
def test_the_losses_of_all_views_add_up(views):
    task, batch = task_of(), batch_of(*views)
    labels = batch["mask"].long()
    expected = sum(F.cross_entropy(task(image), labels, ignore_index=255) for image in batch["images"].values())
    assert task.training_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(task.logged) == {f"train/loss_{view}" for view in views}


def test_the_published_pair_is_reproduced():
    model = DeepLabV3Plus(20, "resnet50").eval()
    model.load_state_dict(state_dict("sdgpa_deeplabv3plus_resnet50"))
    pair, reference = {"source": image(), "synthetic": image().flip(-1)}, recorded("sdgpa_pair_forward")
    mask = torch.zeros(1, 64, 128, dtype=torch.uint8)
    task = task_of(model, similarity=0.1)
    with torch.no_grad():
        for view, name in (("source", "out_source"), ("synthetic", "out_synth")):
            logits = model(pair[view])[..., ::4, ::4]
            assert (logits - torch.from_numpy(reference[name])).abs().max() < 1e-4
        total = task.training_loss({"images": pair, "mask": mask})
        plain = task_of(model).training_loss({"images": pair, "mask": mask})
    assert task.logged["train/loss_similarity"] == pytest.approx(float(reference["similarity"]), abs=1e-4)
    assert (total - plain).item() == pytest.approx(0.1 * float(reference["similarity"]), abs=1e-4)


def published_steps(make_task, name, experiment):
    """Takes three recorded steps in float64 and train mode, dropout alone off; compares statistics and weights after them.

    Returns the losses that were told, those that are published, and the network.
    """
    model = DeepLabV3Plus(20, "resnet50").double().train()
    model.load_state_dict(state_dict("sdgpa_deeplabv3plus_resnet50"))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    rng = np.random.RandomState(zlib.crc32(b"pair"))
    x, y = (torch.from_numpy(rng.standard_normal((2, 3, 64, 128)).astype(np.float32)).double() for _ in range(2))
    labels = torch.from_numpy(rng.randint(0, 20, (2, 64, 128)))
    labels[labels == 19] = IGNORE
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose("train", [f"experiment={experiment}"])
    optimizer = build(config.optimizer)(model.parameters())
    task, reference, told = make_task(model), recorded(name), []
    losses = reference.pop("losses")
    for _ in losses:
        optimizer.zero_grad()
        task.training_loss({"images": {"x": x, "y": y}, "mask": labels}).backward()
        optimizer.step()
        told.append([task.logged[f"train/{part}"] for part in ("loss_x", "loss_y", "loss_similarity")])
    state = model.state_dict()
    assert len(reference) == 9
    for key, expected in reference.items():
        assert (state[key] - torch.from_numpy(expected)).abs().max() < 1e-6, key
    return np.array(told), losses, model


def test_three_published_steps_of_training_are_reproduced():
    # A weight far too small to be felt, so that the similarity is told as well.
    told, losses, _ = published_steps(lambda model: task_of(model, similarity=1e-30), "sdgpa_train_steps", "snow")
    assert np.abs(told - losses).max() < 1e-6


def test_each_view_has_its_own_batch_statistics():
    model = nn.Sequential(nn.Conv2d(3, 20, 1), nn.BatchNorm2d(20))
    task, batch = task_of(model), batch_of("source", "intermediate")
    batch["images"]["intermediate"] = batch["images"]["intermediate"] * 4 + 2
    alone = [
        task_of(model).training_loss({**batch, "images": {view: batch["images"][view]}}) for view in batch["images"]
    ]
    assert task.training_loss(batch).item() == pytest.approx(sum(alone).item(), rel=1e-5)


def test_the_similarity_pulls_on_the_encoder():
    model = DeepLabV3Plus(20, "resnet18").eval()
    batch = {"images": {"a": image(), "b": image().flip(-1)}, "mask": torch.full((1, 64, 128), 255)}
    task_of(model, similarity=0.5).training_loss(batch).backward()
    assert model.backbone.layer1[0].conv1.weight.grad.abs().sum() > 0, (
        "every pixel is ignored, only the similarity is left"
    )


def test_a_network_with_too_few_outputs_is_refused():
    batch = {"images": {"source": torch.zeros(2, 3, 8, 8)}, "mask": torch.full((2, 8, 8), 18, dtype=torch.uint8)}
    with pytest.raises(ConfigError, match=r"the network has 18 outputs; expected at least 19, see model\.num_classes"):
        task_of(nn.Conv2d(3, 18, 1)).training_loss(batch)


def test_a_similarity_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="similarity=abc; expected a number"):
        task_of(similarity="abc")


def test_a_network_without_encoder_has_no_similarity():
    with pytest.raises(
        ConfigError, match=r"similarity=0.1 needs a network with a backbone or encoder, Conv2d has none"
    ):
        task_of(similarity=0.1)


def test_a_batch_of_damaged_files_only_teaches_nothing():
    task = task_of()
    task.training_step({"faults": []}, 0).backward()
    assert all((parameter.grad == 0).all() for parameter in task.parameters())
