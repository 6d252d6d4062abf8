"""A round of self-training: pseudo labels, regularisation, and consistency with a teacher (HIAST)."""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import nn

from zsda.adaptation.losses import (
    Region,
    cross_entropy,
    entropy_on_ignored,
    kld_on_confident,
    precise,
    soft_cross_entropy,
)
from zsda.adaptation.tasks.warm_up import Term, UnpairedTask, check_weights, part_of
from zsda.core.errors import ConfigError
from zsda.data.views import UNLABELLED
from zsda.data.weak_strong import STRONG, WEAK
from zsda.evaluation.inference import of_classes


class SelfTraining(UnpairedTask):
    """The student learns from the strong view of unlabelled images with pseudo labels; its teacher sees the weak view of the same.

    The teacher begins as a copy of the student and follows it: its parameters move by 1 - ``decay`` of the way at every step, its
    buffers are those of the student. It predicts in evaluation mode (HIAST, Zhu et al., TPAMI 2025, arXiv 2302.06992).

    Args:
        pseudo_weight: of the cross entropy with the pseudo labels.
        kld_weight: of the regularisation where there is a pseudo label.
        entropy_weight: of the regularisation where there is none.
        consistency_weight: of the consistency with the teacher.
        region: where the two are compared, see `zsda.adaptation.losses.Region`.
        decay: share of itself that the teacher keeps at a step.
        task: the arguments of `UnpairedTask`.

    Raises:
        ConfigError: an unknown region, a decay or a weight that makes no sense, or no weight at all.
    """

    artefacts = ("weights", "teacher")

    def __init__(
        self,
        *,
        pseudo_weight: float = 1.0,
        kld_weight: float = 0.1,
        entropy_weight: float = 1.0,
        consistency_weight: float = 0.5,
        region: Region = "ignored",
        decay: float = 0.999,
        **task: Any,  # noqa: ANN401 - those of the base
    ) -> None:
        super().__init__(**task)
        if region not in get_args(Region):
            raise ConfigError(f"task.region={region}; expected {', '.join(get_args(Region))}")
        self.teacher = self.average(self.model, decay)
        self._weights = {
            "pseudo": pseudo_weight,
            "kld": kld_weight,
            "entropy": entropy_weight,
            "consistency": consistency_weight,
        }
        check_weights(**{f"{name}_weight": weight for name, weight in self._weights.items()})
        if not any(self._weights.values()):
            raise ConfigError(
                f"all of the weights task.{'_weight, '.join(self._weights)}_weight are 0; expected one above"
            )
        self._region = region

    def networks(self) -> Mapping[str, nn.Module]:
        """Returns the student as the result, and the teacher."""
        return {"weights": self.model, "teacher": self.teacher.module}

    def terms(self, batch: Mapping[str, Any]) -> Mapping[str, Term]:
        """See `UnpairedTask`; ``pseudo``, ``kld``, ``entropy`` and ``consistency``, those without weight left out."""
        part = part_of(batch, UNLABELLED)
        views, labels = part["images"], part["mask"].long()
        logits = self.logits_of_classes(views[STRONG])

        def consistency() -> torch.Tensor:
            with torch.no_grad():
                taught = precise(of_classes(self.teacher(views[WEAK]), len(self.classes))).softmax(dim=1)
            return soft_cross_entropy(logits, taught, labels, self._region)

        losses = {
            "pseudo": lambda: cross_entropy(logits, labels),
            "kld": lambda: kld_on_confident(logits, labels),
            "entropy": lambda: entropy_on_ignored(logits, labels),
            "consistency": consistency,
        }
        return {name: Term(losses[name](), weight) for name, weight in self._weights.items() if weight}
