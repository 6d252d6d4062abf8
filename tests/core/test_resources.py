from pathlib import Path

import zsda
from zsda.core.resources import located


def test_names_of_resources_lie_in_the_package():
    assert located("pkg://zsda/data/datasets/gta5_val.txt") == Path(zsda.__file__).parent / "data/datasets/gta5_val.txt"
    assert located("pkg://zsda/data/datasets/gta5_val.txt").is_file()


def test_other_names_stay_as_they_are(tmp_path):
    for name in ("weights.pth", tmp_path / "w.safetensors", "owner/model"):
        assert located(name) == Path(name)
