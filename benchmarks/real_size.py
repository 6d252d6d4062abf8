"""An InstructPix2Pix pipeline of the published sizes with random weights: as slow as the real one, and fetched from nowhere."""

from typing import Any

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from zsda.core.resources import located


def pipeline(device: torch.device, dtype: torch.dtype, tiny: bool = False) -> Any:
    """Builds it on a device.

    Args:
        device: where.
        dtype: of its weights.
        tiny: with few channels, to try a benchmark.
    """
    torch.manual_seed(0)
    width = 32 if tiny else 320
    with device:
        unet = diffusers.UNet2DConditionModel(
            sample_size=64,
            in_channels=8,
            out_channels=4,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width),
            cross_attention_dim=768,
            attention_head_dim=8,
        ).to(dtype)
        blocks = 4
        vae = diffusers.AutoencoderKL(
            block_out_channels=(32, 32, 32, 32) if tiny else (128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            layers_per_block=1 if tiny else 2,
            latent_channels=4,
        ).to(dtype)
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        ).to(dtype)
    # The words of the miniature's, padded to as many as the published one reads.
    tokenizer = CLIPTokenizer.from_pretrained(
        located("pkg://zsda/miniature/weights/editor") / "tokenizer", model_max_length=77
    )
    return diffusers.StableDiffusionInstructPix2PixPipeline(
        vae=vae.eval(),
        text_encoder=text.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=diffusers.EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
