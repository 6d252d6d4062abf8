import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zsda.adaptation.progressive import ProgressiveAdaptation
from zsda.adaptation.schedules import Poly
from zsda.adaptation.task import SegmentationTask


def task_of(kind):
    torch.manual_seed(0)
    made = kind(nn.Conv2d(3, 20, 1), functools.partial(torch.optim.SGD, lr=0.1), Poly(), 1, "epoch")
    made.log = lambda *_args, **_kwargs: None
    return made


def batch_of(*views):
    mask = torch.randint(0, 19, (2, 4, 5), dtype=torch.uint8)
    mask[0, 0] = 255
    return {"images": {view: torch.randn(2, 3, 4, 5) for view in views}, "mask": mask}


@pytest.mark.parametrize("views", [["source", "intermediate"], ["target", "intermediate"], ["a", "b", "c"]])
def test_the_losses_of_all_views_add_up(views):
    task, batch = task_of(ProgressiveAdaptation), batch_of(*views)
    labels = batch["mask"].long()
    expected = sum(F.cross_entropy(task(image), labels, ignore_index=255) for image in batch["images"].values())
    assert task.training_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_supervised_task_takes_one_view():
    task, batch = task_of(SegmentationTask), batch_of("source")
    expected = F.cross_entropy(task(batch["images"]["source"]), batch["mask"].long(), ignore_index=255)
    assert task.training_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_of_damaged_files_only_teaches_nothing():
    task = task_of(ProgressiveAdaptation)
    task.training_step({"faults": []}, 0).backward()
    assert all((parameter.grad == 0).all() for parameter in task.parameters())
