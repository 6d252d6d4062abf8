"""Training steps of SDGPA's network on batches that lie on the device: as published, and as zsda takes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.data.labels import IGNORE
from zsda.models.deeplab import DeepLabV3Plus
from zsda.training.schedules import Poly

VIEWS = ("source", "intermediate")
_SGD = {"lr": 0.001, "momentum": 0.9, "weight_decay": 0.0001}


def batch(pairs: int, crop: tuple[int, int], device: torch.device) -> dict[str, Any]:
    """Returns pairs of random crops with labels, as a task takes them."""
    random = torch.Generator().manual_seed(0)
    images = {view: torch.randn(pairs, 3, *crop, generator=random).to(device) for view in VIEWS}
    return {"images": images, "mask": torch.randint(0, 19, (pairs, *crop), generator=random).to(device, torch.uint8)}


def network(backbone: str, device: torch.device) -> nn.Module:
    """Returns SDGPA's network with random weights."""
    torch.manual_seed(0)
    return DeepLabV3Plus(20, backbone).to(device).train()


def published(model: nn.Module) -> Callable[[dict[str, Any]], float]:
    """Returns the published step: fp32, images as planes, one kernel after the other, and the loss asked for each time."""
    optimizer = torch.optim.SGD(model.parameters(), **_SGD, foreach=False)

    def step(given: dict[str, Any]) -> float:
        labels = given["mask"].long()
        optimizer.zero_grad()
        losses = [F.cross_entropy(model(given["images"][view]), labels, ignore_index=IGNORE) for view in VIEWS]
        loss = losses[0] + losses[1]
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(model: nn.Module, dtype: torch.dtype, compiled: bool = False) -> Callable[[dict[str, Any]], Tensor]:
    """Returns zsda's step, whose task it is."""
    device = next(model.parameters()).device
    task = ProgressiveAdaptation(
        model=model, optimizer=partial(torch.optim.SGD, **_SGD), schedule=Poly(), horizon=1, unit="epoch"
    ).to(device)
    task.setup("fit")
    task.log = lambda *_words, **_how: None  # type: ignore[method-assign]  # there is no trainer
    if compiled:
        model.compile()
    (optimizer,) = task.make_optimizers()

    def step(given: dict[str, Any]) -> Tensor:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = task.training_loss(given)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
