"""What the device at hand is built for."""

import torch


def is_fast_in_bf16(device: torch.device) -> bool:
    """Tells whether a device calculates in bfloat16 natively; elsewhere it is slower than float32, or not there at all."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
