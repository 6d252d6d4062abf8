import pytest

from tests.conftest import one_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["held_out=0"], "held_out=0; expected at least 1 and fewer than scenes=6000"),
        (["scenes=100"], "held_out=100; expected at least 1 and fewer than scenes=100"),
        (["denoiser.steps=750"], "denoiser.steps=750; expected a multiple of 500, after which it is saved"),
        (["trainer.devices=2"], "trainer.devices=2; so small an editor is trained on one device"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_rendered(zsda, tmp_path, words, message):
    result = zsda("miniature.editor", *words)
    assert result.returncode == 2
    assert message in one_line(result)
    assert not list((tmp_path / "work").iterdir())
