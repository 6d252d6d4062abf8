import pytest

from zsda.core.errors import ConfigError
from zsda.generation.domains import Domain


@pytest.mark.parametrize("name", ["a/b", "..", "", "two words", "nacht\n"])
def test_a_name_must_be_a_plain_folder_name(name):
    with pytest.raises(ConfigError, match="expected a name for a folder, of letters, digits"):
        Domain(name, "make it dusk")


def test_an_empty_prompt_is_refused():
    with pytest.raises(ConfigError, match=r"domain.prompt= ; expected a sentence"):
        Domain("dusk", " ")


def test_scales_that_the_pipeline_would_ignore_are_refused():
    with pytest.raises(ConfigError, match=r"text_guidance=1.0; expected a number above 1"):
        Domain("dusk", "make it dusk", text_guidance=1.0)
    with pytest.raises(ConfigError, match=r"image_guidance=0.9; expected a number of at least 1"):
        Domain("dusk", "make it dusk", image_guidance=0.9)


def test_a_description_holds_all_values():
    assert Domain("dusk-2", "make it dusk", 9, 1).describe() == {
        "name": "dusk-2",
        "prompt": "make it dusk",
        "text_guidance": 9,
        "image_guidance": 1,
    }
