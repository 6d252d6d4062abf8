from pathlib import Path

import pytest
import yaml

from zsda.config import conf_dir
from zsda.miniature.school import instructions as school
from zsda.miniature.school.lessons import LOOKS

CORPUS = [sentence for look in LOOKS for sentence in school.instructions(look)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return school.save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_every_look_has_instructions():
    assert set(school.looks()) == set(LOOKS)


@pytest.mark.parametrize("domain", ["night", "snow", "rain", "fog", "game"])
def test_the_prompts_of_the_domains_are_among_them(domain):
    prompt = yaml.safe_load((conf_dir() / "domain" / f"{domain}.yaml").read_text())["prompt"].lower()
    assert prompt in school.instructions(domain)
    assert not school.is_held_out(prompt)


@pytest.mark.parametrize("look", LOOKS)
def test_some_sentences_of_each_look_are_held_out(look):
    sentences = school.instructions(look)
    assert 0.05 < sum(map(school.is_held_out, sentences)) / len(sentences) < 0.2


def test_no_sentence_occurs_twice_or_has_two_meanings():
    assert len(set(CORPUS)) == len(CORPUS)


def test_every_word_of_the_corpus_is_one_token(tokenizer):
    for word in ("evening", "snowing", "rain", "foggy", "game", "video", "wintry", "moonless"):
        assert tokenizer.tokenize(word) == [f"{word}</w>"]
    assert tokenizer.tokenize("What IF it were Snowing?") == [
        "what</w>",
        "if</w>",
        "it</w>",
        "were</w>",
        "snowing</w>",
        "?</w>",
    ]


def test_every_sentence_fits_and_is_framed(tokenizer):
    for sentence in CORPUS:
        ids = tokenizer(sentence).input_ids
        assert len(ids) <= school.MAX_LENGTH
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
        assert tokenizer.unk_token_id not in ids[1:-1]


def test_foreign_words_come_out_in_pieces(tokenizer):
    pieces = tokenizer.tokenize("sandstorm")
    assert len(pieces) > 1 and "".join(pieces) == "sandstorm</w>"


def test_the_vocabulary_is_the_same_every_time(tokenizer, tmp_path):
    again = school.save_tokenizer(Path(tmp_path))
    assert again.get_vocab() == tokenizer.get_vocab()
