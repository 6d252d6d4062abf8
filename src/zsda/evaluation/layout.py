"""Does an edited image keep the layout that its labels describe? A network that was trained on the source answers."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from zsda.core.files import file_digest
from zsda.core.trained import TrainedNetwork
from zsda.data.labels import NUM_CLASSES
from zsda.data.transforms import EvaluationTransform, resize_mask
from zsda.evaluation.inference import predict_labels
from zsda.evaluation.metrics import confusion_matrix, scores
from zsda.models.weights import load_trained


class LayoutJudge:
    """Scores single images by the agreement of a network's prediction with the labels of their source.

    The score of one image is the mean IoU of the classes that occur in its labels, at the network's input size and in fp32. It
    depends on nothing but the image: neither on others, nor on a batch. Where the network errs on the unedited image already,
    1 cannot be reached; compare with the score of the source.

    Args:
        network: normalised images [1, 3, h, w] -> logits [1, C, h, w], trained on the source.
        size: height, width that the network sees.
        digest: tells its weights from others.
    """

    def __init__(self, network: nn.Module, size: Sequence[int], digest: str) -> None:
        self.network = network.eval()
        self.digest = digest
        self._transform = EvaluationTransform(size)

    @classmethod
    def of(cls, trained: TrainedNetwork | None) -> Self | None:
        """Makes the judge of a trained network; None of none.

        Raises:
            ModelError: the weights are not there, or those of another network.
        """
        return None if trained is None else cls(load_trained(trained), trained.size, file_digest(trained.weights))

    def prepare(self, image: Image.Image, mask: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Brings an RGB image and the train ids of its source, uint8 [H, W], to what `score` takes.

        Returns:
            The normalised image, float32 [3, h, w], and the train ids, uint8 [h, w].
        """
        return self._transform(image), torch.tensor(resize_mask(mask, self._transform.size))

    def score(self, image: Tensor, mask: Tensor) -> float | None:
        """Scores a prepared image, float32 [3, h, w], and mask, uint8 [h, w].

        Returns:
            A share of 1, to four digits; None where no pixel is labelled.
        """
        device = next(self.network.parameters()).device
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            (prediction,) = predict_labels(self.network, image[None].to(device), [mask])
        score = scores(confusion_matrix(prediction.cpu(), mask.cpu(), NUM_CLASSES))["miou_present"].item()
        return None if np.isnan(score) else round(score, 4)
