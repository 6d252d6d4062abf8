"""Does an edited image keep the layout that its labels describe? A network that was trained on the source answers."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from zsda.core.files import file_digest
from zsda.core.trained import TrainedNetwork
from zsda.data.classes import find_classes
from zsda.data.labels import ClassSet
from zsda.data.resizing import Size, resize_mask
from zsda.evaluation.inference import ResizedInference
from zsda.evaluation.metrics import confusion_matrix, scores
from zsda.models.sizes import check_sizes
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
        classes: what it tells apart.
    """

    def __init__(self, network: nn.Module, size: Size, digest: str, classes: ClassSet) -> None:
        self.network = network.eval()
        self.digest, self.classes = digest, classes
        self._size, self._inference = size, ResizedInference(size)

    @classmethod
    def of(cls, trained: TrainedNetwork | None) -> Self | None:
        """Makes the judge of a trained network; None of none.

        Raises:
            ConfigError: its classes are no set of classes, or it cannot take images of its size.
            ModelError: the weights are not there, or those of another network.
        """
        if trained is None:
            return None
        digest, network = file_digest(trained.weights), load_trained(trained)
        check_sizes(network, [("world.size", trained.size)])
        return cls(network, trained.size, digest, find_classes(trained.classes))

    def prepare(self, image: Image.Image, mask: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Brings an RGB image and the mask of its source, ids of the judge's classes, uint8 [H, W], to what `score` takes.

        Returns:
            The normalised image, float32 [3, h, w], and the mask, uint8 [h, w].
        """
        return self._inference.prepare(image), torch.tensor(resize_mask(mask, self._size))

    def score(self, image: Tensor, mask: Tensor) -> float | None:
        """Scores a prepared image, float32 [3, h, w], and mask, uint8 [h, w].

        Returns:
            A share of 1, to four digits; None where no pixel is labelled.
        """
        device = next(self.network.parameters()).device
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            (prediction,) = self._inference.labels(self.network, image[None].to(device))
        score = scores(confusion_matrix(prediction.cpu(), mask.cpu(), len(self.classes)))["miou_present"].item()
        return None if np.isnan(score) else round(score, 4)
