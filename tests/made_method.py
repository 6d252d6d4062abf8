"""The parts of a method of three phases, each otherwise than the others; told so, its process kills itself on the way."""

import io
import os
import signal
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from zsda.adaptation.losses import cross_entropy
from zsda.adaptation.phases import LABELS, Facts, Need
from zsda.adaptation.tasks.base import SegmentationTask
from zsda.adaptation.tasks.supervised import SupervisedTask
from zsda.core.files import write_atomic
from zsda.core.run_records import PhaseReport
from zsda.data.samples import fingerprint, pseudo_label
from zsda.evaluation.inference import ResizedInference, predict_images
from zsda.models.weights import load_weights


def survive(phase, count):
    """Ends the process without a word where the environment says so."""
    if os.environ.get("KILL_AT") == f"{phase}:{count}":
        os.kill(os.getpid(), signal.SIGKILL)


class WithTeacher(SegmentationTask):
    """An optimiser for the head and one for the rest, and a teacher that follows."""

    artefacts = ("weights", "teacher")

    def __init__(self, *, optimizer, head_lr, **task):
        super().__init__(**task)
        self.automatic_optimization = False
        self._optimizer, self._head_lr = optimizer, head_lr
        self.teacher = self.average(self.model, decay=0.5)

    def networks(self):
        return {"weights": self.model, "teacher": self.teacher.module}

    def make_optimizers(self):
        rest = [p for name, p in self.model.named_parameters() if "segmentation_head" not in name]
        head = [p for name, p in self.model.named_parameters() if "segmentation_head" in name]
        return [self._optimizer(rest), torch.optim.SGD(head, self._head_lr, momentum=0.9)]

    def training_step(self, batch, _index):
        survive("first", self.steps)
        self.take(batch)
        labels = batch["mask"].long()
        loss = sum(cross_entropy(self(images), labels) for images in batch["images"].values())
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()


class OnLabels(SupervisedTask):
    """Learns from the source, and from labels that an earlier phase left."""

    def training_loss(self, batch):
        return sum(
            cross_entropy(self(view), part["mask"].long())
            for part in batch.values()
            for view in part["images"].values()
        )

    def training_step(self, batch, _index):
        survive("second", self.steps)
        self.take(*batch.values())
        assert (batch["unlabelled"]["mask"] != 255).any()
        return self.training_loss(batch)


@dataclass(frozen=True)
class Labelling:
    """Writes a label map for each image, one by one."""

    name: str
    images: Any
    teacher: str
    size: list[int]
    leaves = (LABELS,)

    @property
    def needs(self):
        return [Need(self.teacher, "teacher")]

    def check(self, number, processes, synchronised):
        return Facts(
            files={"unlabelled": fingerprint(self.images.samples)}, unlabelled=self.images.name, target="night"
        )

    def run(self, given):
        load_weights(given.model, given.run.phase(self.teacher).network("teacher"))
        for number, sample in enumerate(self.images.samples):
            path = given.folder.labels / pseudo_label(sample.image)
            if not path.is_file():
                survive("labels", number)
                (labels,) = predict_images(given.model, [self.images.image(number)], ResizedInference(self.size))
                buffer = io.BytesIO()
                Image.fromarray(np.where(labels < 19, labels, 255).astype(np.uint8)).save(buffer, "PNG")
                write_atomic(path, buffer.getvalue())
        np.save(given.folder.path / "class_mean_probabilities.npy", np.linspace(0.2, 0.9, 19))
        report = {"epochs": 0, "steps": 0, "seconds": 0.0, "resumed": False, "left_out": [], "watched": {}}
        given.folder.finish(PhaseReport(**report, leaves=[LABELS]))


class OnBoth(SupervisedTask):
    """Learns from the source and looks at the unlabelled images."""

    def training_loss(self, batch):
        labels = batch["source"]["mask"].long()
        assert (batch["unlabelled"]["mask"] == 255).all()
        assert batch["unlabelled"]["images"]["weak"].isfinite().all()
        return cross_entropy(self.logits_of_classes(batch["source"]["images"]["weak"]), labels)

    def training_step(self, batch, _index):
        self.take(*batch.values())
        return self.training_loss(batch)


CONFIG = """# @package _global_
defaults:
  - override /domain: night
  - override /trainer: cpu
  - override /model: smp

data:
  transform: {size: [64, 128], crop: [48, 96]}
  batch_size: 2
machine: {num_workers: 1}
checkpoint: {every_steps: 2}
model: {architecture: unet, encoder: tu-resnet10t, encoder_depth: 3, decoder_channels: [32, 16, 16], pretrained: false}
"""

METHOD = """name: made
lr: 0.01
batch_size: 2
phases:
  first:
    _target_: zsda.adaptation.training.TrainingPhase
    task: {_target_: tests.made_method.WithTeacher, _partial_: true, head_lr: 0.05}
    data: {views: [source, intermediate]}
    optimizer: {_target_: torch.optim.Adam, _partial_: true, lr: 0.001}
    schedule: {_target_: zsda.training.schedules.OneCycle}
    epochs: 2
  labels:
    _target_: tests.made_method.Labelling
    images: {_target_: zsda.data.datasets.acdc.ACDC, root: "${data_root}/ACDC", condition: night, split: val}
    teacher: first
    size: [64, 128]
  second:
    _target_: zsda.adaptation.training.TrainingPhase
    task: {_target_: tests.made_method.OnLabels, _partial_: true}
    data:
      _target_: zsda.data.unpaired.UnpairedData
      _partial_: true
      source: ${data.source}
      setting: day
      unlabelled: {_target_: zsda.data.datasets.acdc.ACDC, root: "${data_root}/ACDC", condition: night, split: val}
      target: night
      transform: {_target_: zsda.data.weak_strong.WeakStrongTransform, size: [48, 96], heights: [30, 64]}
      unlabelled_transform:
        _target_: zsda.data.weak_strong.WeakStrongTransform
        size: [48, 96]
        heights: [30, 60]
        strong: {_target_: zsda.data.weak_strong.StrongColours}
      copy_paste: {_target_: zsda.pseudo_labels.copy_paste.HardAwareCopyPaste, _partial_: true, hard: 14}
      batch_size: 2
      seed: ${seed}
    optimizer: {lr: 0.02}
    start: first
    labels: labels
    steps: 7
    horizon: 10
"""

UNPAIRED = """name: unpaired
lr: 0.01
batch_size: 2
phases:
  both:
    _target_: zsda.adaptation.training.TrainingPhase
    task: {_target_: tests.made_method.OnBoth, _partial_: true}
    steps: 4
    horizon: 4
"""
