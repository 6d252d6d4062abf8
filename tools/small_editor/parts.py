"""The parts of the small editor: each a genuine class of diffusers or transformers, in a small size."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tools.small_editor.instructions import MAX_LENGTH
from zsda.core.files import to_json, write_atomic

Part = Any
"""A part of a pipeline; diffusers and transformers are not typed."""

LATENT_CHANNELS = 8
LATENT_FACTOR = 4
"""Pixels a side of a latent."""

TEXT_WIDTH = 128
PATCH = 128


def make_autoencoder() -> Part:
    """Returns a tiny autoencoder: [B, 3, H, W] to [B, 8, H/4, W/4] and back."""
    from diffusers import AutoencoderTiny

    width = (64, 64, 64)
    return AutoencoderTiny(
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        num_encoder_blocks=(0, 2, 3),
        num_decoder_blocks=(3, 2, 1),
        latent_channels=LATENT_CHANNELS,
    )


def make_text_encoder(vocabulary: int) -> Part:
    """Returns a small CLIP text encoder for a vocabulary whose last two tokens are start and end."""
    from transformers import CLIPTextConfig, CLIPTextModel

    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )
    # CLIP's own start, 0.02, lets all sentences of a small corpus collapse into one.
    nn.init.normal_(encoder.get_input_embeddings().weight, std=0.5)
    return encoder


def make_unet() -> Part:
    """Returns the denoiser: latents of noise and of the picture to edit, side by side, in; latents out."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=PATCH // LATENT_FACTOR,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 176),
        # Attention is dear where latents are many, and looks are a matter of the whole picture.
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
    )


def make_scheduler() -> Part:
    """Returns the noise schedule: zero signal at its end, so that night can become dark and snow white.

    The denoiser says what the edited picture is, not the noise in it: that is close to the picture to edit at every noise
    level, and a small network learns it in a tenth of the time.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="sample",
        rescale_betas_zero_snr=True,  # Lin et al., WACV 2024
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def save_editor(folder: Path, vae: Part, text_encoder: Part, tokenizer: Part, unet: Part) -> None:
    """Saves the parts as a pipeline of diffusers in half precision."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    # transformers opens a model in the precision that its config names, diffusers in float32 unless told otherwise.
    config = folder / "text_encoder/config.json"
    write_atomic(config, to_json(json.loads(config.read_bytes()) | {"dtype": "float32"}))
