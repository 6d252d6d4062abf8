"""HIAST made so small that it is trained in a test; told so, its process kills itself on the way."""

from torch import Tensor, nn
from torch.nn.functional import interpolate

from tests.made_method import survive
from zsda.adaptation.tasks.adversarial import Adversarial
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.adaptation.tasks.self_training import SelfTraining
from zsda.pseudo_labels.selectors import InstanceAdaptiveSelector


class PlainNetwork(nn.Module):
    """A backbone and a head without batch normalisation, which several processes can only share on GPUs."""

    def __init__(self, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(16, num_classes, 1)
        nn.init.constant_(self.head.bias[:3].data, 3.0)

    def forward(self, images: Tensor) -> Tensor:
        """Maps [B, 3, H, W] to [B, num_classes, H, W]."""
        return interpolate(self.head(self.backbone(images)), size=images.shape[-2:], mode="bilinear")


class MortalProgress(ProgressiveAdaptation):
    """May die before a step."""

    def training_step(self, batch, index):
        survive("progress", self.steps)
        return super().training_step(batch, index)


class MortalWarmUp(Adversarial):
    """May die before a step."""

    def training_step(self, batch, index):
        survive("warm_up", self.steps)
        return super().training_step(batch, index)


class MortalRound(SelfTraining):
    """May die before a step."""

    def training_step(self, batch, index):
        survive("round", self.steps)
        return super().training_step(batch, index)


class MortalSelector(InstanceAdaptiveSelector):
    """May die before a batch is selected."""

    selected = 0

    def select(self, probabilities, given=None):
        survive("labels", self.selected)
        self.selected += 1
        return super().select(probabilities, given)


SMALL = """# @package _global_
defaults:
  - override /trainer: cpu
  - override /model: plain
  - override /data: cityscapes_unpaired
  - override /unlabelled: night

unlabelled: {images: {split: val}}
data:
  validation: null
  transform: {size: [48, 96], heights: [30, 64]}
  unlabelled_transform: {heights: [30, 64]}
machine: {num_workers: 0, log_every_n_steps: 1}
checkpoint: {every_steps: 1}
method: {rounds: {lr: 0.0001, batch_size: 2, label_size: [64, 128], hard: 19}}
"""

PLAIN = """_target_: tests.small_hiast.PlainNetwork
num_classes: 19
weights: null
"""

MORTAL = """defaults:
  - hiast
  - _self_

name: mortal
phases:
  source: {epochs: 1, horizon: 1, data: {batch_size: 2}, optimizer: {lr: 0.001}}
  warm_up: {epochs: 1, horizon: 1, data: {batch_size: 2}, task: {_target_: tests.small_hiast.MortalWarmUp}}
  labels1: {selector: {_target_: tests.small_hiast.MortalSelector, gamma: 0.0, beta: 0.2}, batch_size: 1}
  round1: {steps: 4, horizon: 4, task: {decay: 0.5}}
  labels2: {selector: {gamma: 0.0, beta: 0.2}}
  round2: {steps: 4, horizon: 4, task: {_target_: tests.small_hiast.MortalRound, decay: 0.5}, optimizer: {lr: 0.0001}}
  labels3: {selector: {gamma: 0.0, beta: 0.2}, batch_size: 1}
  round3: {steps: 3, horizon: 4, optimizer: {lr: 0.0001}}
"""

ROUND = """defaults:
  - numbers/hiast@_here_
  - base/file@phases.file
  - base/labels@phases.labels
  - base/round@phases.round
  - _self_

name: round
phases:
  labels: {network: file, batch_size: 1, selector: {gamma: 0.0, beta: 0.2}}
  round: {labels: labels, start: file, steps: 4, horizon: 4, task: {decay: 0.5}}
"""


BRIDGE = """# @package _global_
defaults:
  - override /domain: night
  - override /trainer: cpu
  - override /model: plain

data:
  watch: []
  transform: {size: [64, 128], crop: [48, 96]}
machine: {num_workers: 0, log_every_n_steps: 1}
checkpoint: {every_steps: 1}
method:
  batch_size: 2
  epochs: {first: 1, second: 1, horizon: 1}
"""

MORTAL_BRIDGE = """defaults:
  - sdgpa_then_hiast
  - _self_

rounds: {lr: 0.0001, batch_size: 2, label_size: [64, 128], hard: 19}
phases:
  intermediate: {task: {_target_: tests.small_hiast.MortalProgress}}
  labels1: {selector: {_target_: tests.small_hiast.MortalSelector, gamma: 0.0, beta: 0.2}, batch_size: 1}
  round1: {steps: 3, horizon: 3, data: {validation: null, transform: {size: [48, 96]}, unlabelled_transform: {heights: [30, 64]}}}
  labels2: {selector: {gamma: 0.0, beta: 0.2}}
  round2:
    task: {_target_: tests.small_hiast.MortalRound, decay: 0.5}
    steps: 3
    horizon: 3
    data: {validation: null, transform: {size: [48, 96]}, unlabelled_transform: {heights: [30, 64]}}
  labels3: {selector: {gamma: 0.0, beta: 0.2}}
  round3: {steps: 2, horizon: 2, data: {validation: null, transform: {size: [48, 96]}, unlabelled_transform: {heights: [30, 64]}}}
"""


def write_configs(folder):
    """Writes a --config-dir: ``experiment=small`` with ``method=mortal`` and ``round``, ``experiment=bridge`` with ``mortal_bridge``."""
    texts = {
        "experiment/small": SMALL,
        "experiment/bridge": BRIDGE,
        "model/plain": PLAIN,
        "method/mortal": MORTAL,
        "method/round": ROUND,
        "method/mortal_bridge": MORTAL_BRIDGE,
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / f"{path}.yaml").write_text(text)
    return folder
