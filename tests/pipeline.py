"""A genuine InstructPix2Pix pipeline with random weights: every part of the published one, far smaller.

``python -m tests.pipeline FOLDER`` saves one. Its text encoder reads letter by letter, so a prompt may have 75 of them.
"""

import json
import sys
from pathlib import Path

import torch

ENCODER_GAIN, DECODER_GAIN, UNET_GAIN = 3.0, 1.5, 2.0


def make_pipeline(folder: str | Path, seed: int = 0) -> Path:
    """Saves a pipeline that edits patches of 64-128 pixels in some milliseconds a step on a CPU.

    The gains make up for the missing training: without them every output would be flat grey, and no test could tell one
    seed or prompt from another.
    """
    import diffusers

    folder = Path(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = _tokenizer(folder / "tokenizer")
        pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
            vae=_autoencoder(),
            text_encoder=_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            unet=_unet(),
            scheduler=diffusers.EulerAncestralDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer(folder: Path):
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def _text_encoder(vocabulary: int):
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    encoder = CLIPTextModel(config)
    with torch.no_grad():
        encoder.get_input_embeddings().weight.normal_(std=1.0)
    return encoder


def _autoencoder():
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),  # four of them: 8 pixels a latent, as the published one has
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    with torch.no_grad():
        vae.encoder.conv_out.weight.mul_(ENCODER_GAIN)
        vae.decoder.conv_out.weight.mul_(DECODER_GAIN)
    return vae


def _unet():
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        in_channels=8,  # four of the noise, four of the image
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=4,
    )
    with torch.no_grad():
        unet.conv_out.weight.mul_(UNET_GAIN)
    return unet


if __name__ == "__main__":
    make_pipeline(sys.argv[1])
