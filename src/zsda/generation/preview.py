"""Trying an editor's scales on a few images before a set is made with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from zsda.core.errors import ConfigError
from zsda.core.seeds import derive_seed
from zsda.data.datasets.cityscapes import edit_path
from zsda.data.labels import ClassSet
from zsda.data.samples import SegmentationDataset
from zsda.evaluation.layout import LayoutJudge
from zsda.generation.domains import Domain
from zsda.generation.editors.base import edit_in_turns
from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor
from zsda.generation.gates import Gate
from zsda.generation.recipes import Recipe


@dataclass(frozen=True)
class Scales:
    """One way to ask the editor.

    Attributes:
        text_guidance: see `Domain`.
        image_guidance: see `Domain`.
        steps: of denoising.
    """

    text_guidance: float
    image_guidance: float
    steps: int

    def words(self) -> list[str]:
        """Returns what to write on the command line to get it."""
        return [
            f"domain.text_guidance={self.text_guidance:g}",
            f"domain.image_guidance={self.image_guidance:g}",
            f"editor.steps={self.steps}",
        ]


@dataclass(frozen=True)
class Edit:
    """One image edited in one way.

    Attributes:
        image: uint8 [H, W, 3].
        flaw: what the gate would refuse it for; None where it would pass.
        layout: layout score, a share of 1; None without a judge, or where no pixel is labelled.
        change: mean absolute difference to the source, a share of the full range.
        drift: how far the patch lies at most from where it belongs, in pixels of the canvas; None where that was not measured, or cannot
            be told.
        moved_back: how far at most it lay before it was moved back; None where it was not.
    """

    image: NDArray[np.uint8]
    flaw: str | None
    layout: float | None
    change: float
    drift: float | None = None
    moved_back: float | None = None


@dataclass(frozen=True)
class SourceImage:
    """An image to try the scales on.

    Attributes:
        path: relative to its data set.
        canvas: the image as it is edited, uint8 [3, H, W].
        mask: ids of ``classes``, uint8 [h, w].
        layout: layout score of the image as it is; None without a judge.
        classes: those of the judge; without one, those of the data set.
    """

    path: str
    canvas: torch.Tensor
    mask: NDArray[np.uint8]
    layout: float | None
    classes: ClassSet


@dataclass(frozen=True)
class Trial:
    """All images edited in one way, in their order."""

    scales: Scales
    edits: Sequence[Edit]

    @property
    def layout(self) -> float | None:
        """Mean layout score; None where an image has none."""
        found = [edit.layout for edit in self.edits]
        return None if None in found else fmean(score for score in found if score is not None)

    @property
    def drift(self) -> float | None:
        """Largest drift; None where it is known of no image."""
        return max((edit.drift for edit in self.edits if edit.drift is not None), default=None)

    @property
    def moved_back(self) -> float | None:
        """How far at most an image was moved back; None where none was."""
        return max((edit.moved_back for edit in self.edits if edit.moved_back is not None), default=None)

    @property
    def change(self) -> float:
        """Mean change."""
        return fmean(edit.change for edit in self.edits)


def read_images(
    source: SegmentationDataset, count: int, recipe: Recipe, judge: LayoutJudge | None
) -> list[SourceImage]:
    """Reads some images, evenly spread over a split.

    Args:
        source: the split.
        count: how many.
        recipe: says what size they are edited in.
        judge: scores their layout as it is; None leaves it out.

    Raises:
        ConfigError: there are not so many.
        DataError: one of them cannot be read.
    """
    if not isinstance(count, int) or not 1 <= count <= len(source):
        raise ConfigError(f"images={count}; expected a whole number from 1 to {len(source)}, the size of the split")
    labelled = source if judge is None else source.with_classes(judge.classes)
    images = []
    for place in (len(source) * number // count for number in range(count)):
        sample = labelled[place]
        canvas, mask = recipe.draw_canvas(Image.fromarray(sample["image"])), sample["mask"]
        path = edit_path(source.split, source.samples[place].key)
        images.append(SourceImage(path, canvas, mask, _score(judge, _picture(canvas), mask), labelled.classes))
    return images


class Previewer:
    """Edits a few images in several ways, with the noise that the first attempt of ``zsda.generate`` would give them.

    Args:
        editor: what edits, whatever its number of steps.
        recipe: which patches are edited.
        domain: what is made of them; its scales are replaced.
        seed: the seed of the run.
        batch_size: number of patches that the editor is given at most.
        judge: scores the layout; None leaves it out.
        gate: says which edits would not enter a set.

    Raises:
        ConfigError: the editor cannot take patches of this size.
    """

    def __init__(
        self,
        editor: InstructPix2PixEditor,
        recipe: Recipe,
        domain: Domain,
        seed: int,
        batch_size: int,
        judge: LayoutJudge | None,
        gate: Gate,
    ) -> None:
        recipe.check_fits(editor.multiple)
        self._editor, self._recipe, self._domain, self._judge = editor, recipe, domain, judge
        self._seed, self._batch_size, self._gate = seed, batch_size, gate

    def check(self, scales: Scales) -> None:
        """Refuses what the editor would not take, before any image is edited.

        Raises:
            ConfigError: a scale or the number of steps is not one that the editor takes.
        """
        self._asked(scales)
        self._editor.with_steps(scales.steps)

    def edit(self, image: SourceImage, scales: Scales) -> Edit:
        """Edits one image in one way.

        Raises:
            ConfigError: a scale or the number of steps is not one that the editor takes.
        """
        recipe, domain = self._recipe, self._asked(scales)
        boxes = recipe.boxes(self._seed, image.path, domain.name)
        patches = recipe.cut(image.canvas, boxes)
        seeds = [derive_seed(self._seed, image.path, domain.name, recipe.name, i, "noise") for i in range(len(boxes))]
        edited = edit_in_turns(self._editor.with_steps(scales.steps), patches, domain, seeds, self._batch_size)
        verdicts = [
            self._gate.judge(*found) for found in zip(edited.images, patches, edited.finite.tolist(), strict=True)
        ]
        merged = recipe.merge(image.canvas, boxes, torch.stack([verdict.patch for verdict in verdicts]))
        return Edit(
            image=_picture(merged),
            flaw=next((verdict.flaw for verdict in verdicts if verdict.flaw), None),
            layout=_score(self._judge, _picture(merged), image.mask),
            change=(merged.float() - image.canvas.float()).abs().mean().item() / 255,
            drift=max((verdict.remaining for verdict in verdicts if verdict.remaining is not None), default=None),
            moved_back=max((v.moved for v in verdicts if v.aligned and v.moved is not None), default=None),
        )

    def _asked(self, scales: Scales) -> Domain:
        return replace(self._domain, text_guidance=scales.text_guidance, image_guidance=scales.image_guidance)


def choose(trials: Sequence[Trial], images: Sequence[SourceImage], keep: float) -> Trial | None:
    """Returns the trial that changes the images most among those that keep enough of their layout.

    The layout score alone would choose the edit that does nothing.

    Args:
        trials: of the same images.
        images: as they are.
        keep: share of the images' own layout score that an edit must reach.

    Returns:
        The strongest trial without a flaw that keeps enough; None where none does, or nothing was scored.
    """
    own = [image.layout for image in images if image.layout is not None]
    if len(own) < len(images):
        return None
    least = keep * fmean(own)
    sound = [trial for trial in trials if not any(edit.flaw for edit in trial.edits)]
    keeping = [trial for trial in sound if trial.layout is not None and trial.layout >= least]
    return max(keeping, key=lambda trial: trial.change, default=None)


def grid(text: float | Sequence[float], image: float | Sequence[float], steps: int | Sequence[int]) -> list[Scales]:
    """Returns all combinations of what is listed, each once: steps outermost, then text guidance, then image guidance."""
    return [
        Scales(of_text, of_image, number) for number, of_text, of_image in product(*map(_axis, (steps, text, image)))
    ]


def around(scale: float) -> list[float]:
    """Returns three scales to try: with half, once and twice the excess over 1, where a scale begins to have an effect."""
    return [float(f"{1 + (scale - 1) * factor:.3g}") for factor in (0.5, 1, 2)]


def _axis(values: Any) -> list[Any]:  # noqa: ANN401 - one value, or a list of them
    return list(dict.fromkeys(values)) if isinstance(values, Sequence) else [values]


def _score(judge: LayoutJudge | None, picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float | None:
    return None if judge is None else judge.score(*judge.prepare(Image.fromarray(picture), mask))


def _picture(canvas: torch.Tensor) -> NDArray[np.uint8]:
    return canvas.permute(1, 2, 0).contiguous().numpy()
