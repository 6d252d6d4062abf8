"""Trainings that come before any pseudo label: on the source, and with the entropy of unlabelled images (MinEnt)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from zsda.adaptation.losses import cross_entropy, normalised_entropy
from zsda.adaptation.tasks.base import SegmentationTask
from zsda.core.errors import ConfigError
from zsda.core.values import NOT_NEGATIVE
from zsda.data.views import SOURCE, UNLABELLED
from zsda.data.weak_strong import WEAK
from zsda.evaluation.inference import of_classes
from zsda.models.freezing import freeze_batch_norm as freeze
from zsda.training.optimizers import OptimizerFactory, with_faster_head


class Term(NamedTuple):
    """A loss, and what it is multiplied by in the sum."""

    loss: Tensor
    weight: float = 1.0


class UnpairedTask(SegmentationTask):
    """What all trainings of HIAST share (Zhu et al., TPAMI 2025): batches of `zsda.data.unpaired.UnpairedData`, a head that learns faster.

    Args:
        optimizer: makes the optimiser of the network; its rate is the backbone's.
        head: factor of the rate of everything but the backbone.
        freeze_batch_norm: leave scale and shift of batch normalisation as they are; batch statistics go on normalising.
        task: the arguments of `SegmentationTask`.

    Raises:
        ConfigError: a network without backbone, or with fewer outputs than there are classes; or a number that makes no sense.
    """

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory,
        head: float = 10.0,
        freeze_batch_norm: bool = True,
        **task: Any,  # noqa: ANN401 - those of the base
    ) -> None:
        super().__init__(**task)
        check_weights(head=head)
        self._optimizer, self._head = optimizer, head
        if freeze_batch_norm:
            freeze(self.model)

    @abstractmethod
    def terms(self, batch: Mapping[str, Any]) -> Mapping[str, Term]:
        """Returns the losses of a batch by name, which add up to what the network learns from."""

    def make_optimizers(self) -> Sequence[Optimizer]:
        """Returns the optimiser of the network."""
        return [with_faster_head(self._optimizer, self.model, self._head)]

    def training_step(self, batch: dict[str, Any], _index: int) -> Tensor | None:
        """Takes a batch of each part; one with a part of damaged files only teaches nothing."""
        return self.total(self.terms(batch), batch) if self.take(*batch.values()) else self.nothing()

    def total(self, terms: Mapping[str, Term], batch: Mapping[str, Any]) -> Tensor:
        """Logs ``train/loss_<name>`` of each term, without its weight, and ``train/loss``, the weighted sum, which it returns."""
        first, *others = (term.weight * term.loss for term in terms.values())
        total = sum(others, start=first)
        count = len(next(iter(batch.values()))["mask"])
        for name, term in terms.items():
            self.note(f"train/loss_{name}", term.loss, count)
        self.note("train/loss", total, count, prog_bar=True)
        return total

    def note(self, name: str, loss: Tensor, count: int, prog_bar: bool = False) -> None:
        """Logs a loss of ``count`` images, of all processes together."""
        loss = loss.detach()
        self.log(name, loss, on_step=True, on_epoch=True, prog_bar=prog_bar, batch_size=count, sync_dist=True)

    def logits_of_classes(self, images: Tensor) -> Tensor:
        """Maps images [B, 3, H, W] to the logits of the classes, [B, C, H, W]; an output for void is left out.

        Raises:
            ConfigError: the network has fewer outputs than there are classes.
        """
        return of_classes(self(images), len(self.classes))


class WarmUp(UnpairedTask):
    """The cross entropy of the source and, where it has a weight, the entropy of unlabelled images (MinEnt, Vu et al., CVPR 2019).

    Each part passes the network by itself, with its own batch statistics, the source first.

    Args:
        source_weight: of the cross entropy.
        entropy_weight: of the entropy; 0 does not look at unlabelled images.
        task: the arguments of `UnpairedTask`.

    Raises:
        ConfigError: a weight that makes no sense, or both are 0.
    """

    def __init__(self, *, source_weight: float = 1.0, entropy_weight: float = 0.0, **task: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(**task)
        check_weights(source_weight=source_weight, entropy_weight=entropy_weight)
        if not source_weight and not entropy_weight:
            raise ConfigError("task.source_weight and task.entropy_weight are both 0; expected one above")
        self._source_weight, self._entropy_weight = source_weight, entropy_weight

    def terms(self, batch: Mapping[str, Any]) -> Mapping[str, Term]:
        """See `UnpairedTask`; ``source`` and ``entropy``."""
        terms = {"source": self.on_source(batch, self.logits_of(SOURCE, batch))}
        if self._entropy_weight:
            terms["entropy"] = self.on_unlabelled(self.logits_of(UNLABELLED, batch))
        return terms

    def logits_of(self, part: str, batch: Mapping[str, Any]) -> Tensor:
        """Returns the logits of the weak view of a part."""
        return self.logits_of_classes(part_of(batch, part)["images"][WEAK])

    def on_source(self, batch: Mapping[str, Any], logits: Tensor) -> Term:
        """Returns the cross entropy."""
        return Term(cross_entropy(logits, batch[SOURCE]["mask"].long()), self._source_weight)

    def on_unlabelled(self, logits: Tensor) -> Term:
        """Returns the entropy."""
        return Term(normalised_entropy(logits), self._entropy_weight)


def check_weights(**weights: float) -> None:
    """Refuses what a loss cannot be multiplied by.

    Raises:
        ConfigError: one of the weights is.
    """
    for name, weight in weights.items():
        NOT_NEGATIVE.check(f"task.{name}", weight)


def part_of(batch: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns a part of a batch.

    Raises:
        ConfigError: it is not there.
    """
    if name not in batch:
        raise ConfigError(f"the task looks at the part {name}, and data.parts=[{', '.join(batch)}]; expected it there")
    return batch[name]
