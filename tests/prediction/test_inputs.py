import logging

import pytest

from zsda.core.errors import DataError
from zsda.prediction.inputs import find_input


@pytest.fixture
def root(tmp_path):
    """Photographs beside predictions, and beside what else zsda wrote."""
    for place in ("photos/a.png", "photos/trip/b.jpg", "photos/trip/old/overlay/b.png", "photos/runs/x/scores.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "photos/trip/old/predictions.json").touch()
    return tmp_path / "photos"


def keys(path, *results):
    return [photo.key for photo in find_input(path, results).photos]


def test_what_zsda_wrote_is_no_photograph(root, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    assert keys(root) == ["a", "runs/x/scores", "trip/b"]
    assert keys(root, root / "runs") == ["a", "trip/b"]
    (root.parent / "link").symlink_to(root)
    assert keys(root.parent / "link", root / "runs") == ["a", "trip/b"]
    monkeypatch.chdir(root)
    assert keys(root.relative_to(root), root / "runs") == ["a", "trip/b"]
    assert not caplog.messages


def test_what_is_named_itself_is_predicted(root):
    assert keys(root / "trip/old/overlay") == ["b"]
    assert keys(root / "runs/x", root / "runs") == ["scores"]
    assert keys(root / "runs", root / "runs") == ["x/scores"]


def test_a_folder_of_predictions_is_refused(root):
    with pytest.raises(DataError, match=r"trip/old holds predictions; expected a folder of photographs"):
        find_input(root / "trip/old")
    (root / "trip/b.jpg").unlink()
    with pytest.raises(DataError, match=r"no images under .*trip beside the 1 that zsda wrote"):
        find_input(root / "trip")
