import pytest
import torch

from zsda.core import precision
from zsda.core.precision import training_format


@pytest.mark.parametrize(
    ("device", "has_units", "expected"),
    [
        ("cuda", False, torch.channels_last),
        ("cpu", True, torch.channels_last),
        ("cpu", False, torch.contiguous_format),
    ],
)
def test_a_cpu_without_units_for_bf16_trains_plane_by_plane(monkeypatch, device, has_units, expected):
    monkeypatch.setattr(precision, "is_fast_in_bf16", lambda _: has_units)
    assert training_format(torch.device(device)) == expected
