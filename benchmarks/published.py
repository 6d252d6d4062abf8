"""What SDGPA's published code does, written anew from its description; steps that change nothing are left out."""

from pathlib import Path
from random import Random

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image

from zsda.data.labels import LABEL_ID, TRAIN_ID

SIZE, CROP = (1024, 512), (768, 384)  # width, height
VOID = 19
_TABLE = np.full(256, VOID, np.uint8)
for _name, _id in TRAIN_ID.items():
    _TABLE[LABEL_ID[_name]] = _id


def _prepared(image, label):
    image = image.resize(SIZE, Image.Resampling.LANCZOS)
    return image, label.resize(SIZE, Image.Resampling.NEAREST)


def _tensors(images, label):
    normal = [F.normalize(F.to_tensor(i), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for i in images]
    return *normal, torch.from_numpy(np.array(label)).long()


def _read(image: Path, label: Path):
    return Image.open(image).convert("RGB"), Image.fromarray(_TABLE[np.array(Image.open(label))])


def training_pair(image: Path, edit: Path, label: Path, random: Random):
    """Reads, resizes, crops, mirrors and jitters a pair; returns both, float32 [3, 384, 768], and the label, int64."""
    first, ids = _read(image, label)
    second = Image.open(edit).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    first, ids = _prepared(first, ids)
    left, top = random.randint(0, SIZE[0] - CROP[0]), random.randint(0, SIZE[1] - CROP[1])
    box = (left, top, left + CROP[0], top + CROP[1])
    views = [picture.crop(box) for picture in (first, second, ids)]
    if random.random() < 0.5:
        views = [view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for view in views]
    *images, ids = views
    return _tensors([_jittered(one, random) for one in images], ids)


def _jittered(image, random: Random):
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        image = adjust(image, random.uniform(0.5, 1.5))
    return F.adjust_hue(image, random.uniform(-0.3, 0.3))


def evaluation_sample(image: Path, label: Path):
    """Reads, resizes and normalises; returns float32 [3, 512, 1024] and the label, int64 [512, 1024]."""
    picture, ids = _prepared(*_read(image, label))
    return _tensors([picture], ids)


def edit_one_by_one(pipeline, pictures, prompt: str, seeds, steps: int, text: float, image: float):
    """Edits pictures with a pipeline of diffusers, one a call; returns uint8 [N, 3, h, w]."""
    pipeline.set_progress_bar_config(disable=True)
    edited = []
    for picture, seed in zip(pictures, seeds, strict=True):
        made = pipeline(
            prompt,
            image=picture,
            num_inference_steps=steps,
            guidance_scale=text,
            image_guidance_scale=image,
            generator=torch.Generator().manual_seed(seed),
        )
        edited.append(torch.from_numpy(np.array(made.images[0])).permute(2, 0, 1))
    return torch.stack(edited)


class ConfusionMatrix:
    """One matrix over all pixels, void included, whose row of void is ignored in the end."""

    def __init__(self):
        self.counts = np.zeros((VOID + 1, VOID + 1), np.int64)

    def update(self, prediction, label):
        """Adds maps, int64 [B, H, W], void = 19."""
        truth, found = label.cpu().numpy().ravel(), prediction.cpu().numpy().ravel()
        inside = (truth >= 0) & (truth <= VOID)
        places = (VOID + 1) * truth[inside].astype(int) + found[inside]
        self.counts += np.bincount(places, minlength=(VOID + 1) ** 2).reshape(VOID + 1, VOID + 1)
