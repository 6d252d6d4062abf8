import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.adaptation.tasks.test_progressive import published_steps, task_of
from zsda.adaptation.losses import similarity
from zsda.adaptation.tasks.zodi import ZoDi
from zsda.core.errors import ConfigError
from zsda.models.backbones import LastFeatures
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.library import library_model
from zsda.models.refinenet import RefineNet


def zodi_of(model, weight=0.1):
    return task_of(model, ZoDi, similarity=weight)


def pair():
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(2, 3, 64, 64, generator=generator) for _ in range(2))
    return {"images": {"source": x, "target": y}, "mask": torch.randint(0, 19, (2, 64, 64), generator=generator)}


def test_three_published_steps_of_training_are_reproduced():
    told, losses, model = published_steps(zodi_of, "zodi_train_steps", "zodi_snow")
    told[:, 2] *= 0.1  # published with its weight
    assert np.abs(told - losses).max() < 1e-6
    moved = {key.split(".")[0]: int(value) for key, value in model.state_dict().items() if key.endswith("tracked")}
    assert moved == {"backbone": 12, "classifier": 6}


@pytest.mark.parametrize("network", [DeepLabV3Plus, RefineNet])
def test_the_losses_of_both_views_and_their_similarity_add_up(network):
    model, batch = network(20, "resnet18").eval(), pair()
    x, y = batch["images"].values()
    with LastFeatures(model, "a test") as features:
        (sum(F.cross_entropy(model(images), batch["mask"]) for images in (x, y))).backward(retain_graph=True)
        similarity(*features).backward()
    expected = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    zodi_of(model, weight=1.0).training_loss(batch).backward()
    for name, value in model.named_parameters():
        assert torch.allclose(value.grad, expected[name], rtol=1e-3, atol=1e-5), name


def test_an_encoder_that_returns_tokens_is_drawn_too():
    model = library_model("dpt", "tu-vit_tiny_patch16_224", 20)
    batch = pair()
    zodi_of(model).training_loss(batch).backward()
    assert model.encoder.model.patch_embed.proj.weight.grad.any()


def test_half_precision_keeps_every_gradient():
    """Weights that autocast casts without gradient first would lose theirs for the whole step."""
    model, batch = DeepLabV3Plus(20, "resnet18"), pair()
    with torch.autocast("cpu", torch.bfloat16):
        loss = zodi_of(model).training_loss(batch)
    loss.backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_a_compiled_network_is_drawn_at_every_step():
    model, batch = DeepLabV3Plus(20, "resnet18").eval(), pair()
    expected = zodi_of(model).training_loss(batch).item()
    task = zodi_of(model)
    model.compile(backend="eager")
    for _ in range(2):
        assert task.training_loss(batch).item() == pytest.approx(expected, rel=1e-4)


def test_a_scene_of_another_number_of_views_is_refused():
    batch = pair()
    del batch["images"]["target"]
    with pytest.raises(
        ConfigError, match=r"ZoDi trains on two views of a scene; expected two in data\.views, not source"
    ):
        zodi_of(DeepLabV3Plus(20, "resnet18")).training_loss(batch)


def test_a_network_without_backbone_is_refused():
    with pytest.raises(ConfigError, match="ZoDi needs a network with a backbone or encoder, Conv2d has none"):
        zodi_of(nn.Conv2d(3, 20, 1))
