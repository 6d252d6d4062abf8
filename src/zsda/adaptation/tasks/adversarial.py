"""Adversarial warm-up: maps of unlabelled images shall look like maps of the source (AdaptSegNet, AdvEnt)."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.func import functional_call
from torch.optim import Optimizer

from zsda.adaptation.losses import (
    adversarial_loss,
    binary_cross_entropy,
    discriminator_loss,
    least_squares,
    precise,
    weighted_self_information,
)
from zsda.adaptation.tasks.warm_up import Term, WarmUp, check_weights
from zsda.core.errors import ConfigError
from zsda.data.views import SOURCE, UNLABELLED
from zsda.models.discriminator import Discriminator
from zsda.training.optimizers import OptimizerFactory

_DISTANCES = {"least_squares": least_squares, "binary_cross_entropy": binary_cross_entropy}
_MAPS = ("probabilities", "self_information")


class Adversarial(WarmUp):
    """Adds to the losses of `WarmUp` the verdict of a discriminator that learns beside the network, with an optimiser of its own.

    On probabilities it is AdaptSegNet (Tsai et al., CVPR 2018) with one discriminator instead of two, on weighted self-information
    AdvEnt (Vu et al., CVPR 2019), as HIAST's published code has them. The network steps first, then the discriminator, with its loss
    on the maps that the network made before its step.

    Args:
        adversarial_weight: of the verdict.
        maps: what the discriminator sees: ``probabilities`` or ``self_information``.
        distance: ``least_squares`` (HIAST, IAST) or ``binary_cross_entropy`` (AdaptSegNet, AdvEnt).
        discriminator_weight: of the discriminator's own loss.
        discriminator_optimizer: makes its optimiser.
        task: the arguments of `WarmUp`.

    Raises:
        ConfigError: an unknown name, or a weight that makes no sense.
    """

    def __init__(
        self,
        *,
        adversarial_weight: float,
        discriminator_optimizer: OptimizerFactory,
        maps: str = "probabilities",
        distance: str = "least_squares",
        discriminator_weight: float = 1.0,
        **task: Any,  # noqa: ANN401 - those of the base
    ) -> None:
        super().__init__(**task)
        for key, value, known in (("maps", maps, _MAPS), ("distance", distance, _DISTANCES)):
            if value not in known:
                raise ConfigError(f"task.{key}={value}; expected {' or '.join(known)}")
        check_weights(adversarial_weight=adversarial_weight, discriminator_weight=discriminator_weight)
        self.automatic_optimization = False
        self.discriminator = Discriminator(len(self.classes))
        self._discriminator_optimizer = discriminator_optimizer
        self._adversarial_weight, self._discriminator_weight = adversarial_weight, discriminator_weight
        self._informs, self._distance = maps == "self_information", _DISTANCES[distance]

    def make_optimizers(self) -> Sequence[Optimizer]:
        """Returns the optimisers of network and discriminator."""
        own = self._discriminator_optimizer(self.discriminator.parameters())
        return [*super().make_optimizers(), own]

    def training_step(self, batch: dict[str, Any], _index: int) -> None:
        """Takes a step with each optimiser; a batch with a part of damaged files only teaches nothing."""
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(self._loss(batch) if self.take(*batch.values()) else self.nothing())
        for optimizer in optimizers:
            optimizer.step()

    def terms(self, batch: Mapping[str, Any]) -> Mapping[str, Term]:
        """See `UnpairedTask`; ``source``, ``adversarial``, ``discriminator``, and ``entropy`` where it has a weight."""
        of_source, of_unlabelled = (self.logits_of(part, batch) for part in (SOURCE, UNLABELLED))
        terms = {"source": self.on_source(batch, of_source)}
        if self._entropy_weight:
            terms["entropy"] = self.on_unlabelled(of_unlabelled)
        source, unlabelled = self._seen(of_source), self._seen(of_unlabelled)
        # Through its values alone: what the network learns must not reach the discriminator.
        values = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        verdict = functional_call(self.discriminator, values, (unlabelled,))
        terms["adversarial"] = Term(adversarial_loss(verdict, self._distance), self._adversarial_weight)
        verdicts = self.discriminator(source.detach()), self.discriminator(unlabelled.detach())
        terms["discriminator"] = Term(discriminator_loss(*verdicts, self._distance), self._discriminator_weight)
        return terms

    def _loss(self, batch: Mapping[str, Any]) -> Tensor:
        """Returns the sum of what both learn from; one pass backwards does, since no parameter has gradients of both."""
        terms = dict(self.terms(batch))
        of_discriminator = terms.pop("discriminator")
        self.note("train/loss_discriminator", of_discriminator.loss, len(batch[SOURCE]["mask"]))
        return self.total(terms, batch) + of_discriminator.weight * of_discriminator.loss

    def _seen(self, logits: Tensor) -> Tensor:
        return weighted_self_information(logits) if self._informs else precise(logits).softmax(dim=1)
