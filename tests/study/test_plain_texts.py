"""Texts of the study are plain: short sentences, no metaphors, a film is called a film."""

import re
import tomllib
from importlib import resources

import pytest

from mindref.study.steps import KINDS
from mindref.study.steps.option_texts import OPTION_TEXTS
from mindref.study.tracing import trace_pair
from mindref.study.variants.entries import Setup, variant_table
from mindref.study.variants.measures import MEASURES
from mindref.study.variants.setups import describe_setup
from tests.assertions import nonempty
from tests.study.pairs import VARIED, make_random_pair

METAPHORS = (
    r"\b(speaks?|voices?|told|tells|says|said|hears?|knows?|surest|shares itself|lies among)\b"
)
LONGEST = 25  # words of a sentence


def check_text(text):
    assert not re.search(METAPHORS, text), text
    assert not re.search(r"\b(rounds?|behaviours?)\b", text), text
    for sentence in re.split(r"(?<=[.:;?])\s", text):
        assert len(sentence.split()) <= LONGEST, sentence


def test_the_check_can_fail():
    for text in ("A film speaks to it.", "A behaviour has a vector.", "word " * 26):
        with pytest.raises(AssertionError):
            check_text(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_step_has_plain_texts(kind):
    check_text(kind.title)
    check_text(kind.why)
    for invariant in kind.checks:
        check_text(invariant.text)


@pytest.mark.parametrize("case", OPTION_TEXTS, ids=lambda case: case.kind)
def test_the_text_of_an_option_is_plain(case):
    check_text(case.fields.get("title", ""))
    check_text(case.fields.get("why", ""))


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
@pytest.mark.slow(every=5, start=2)
def test_questions_and_changes_are_plain(changes):
    for step in trace_pair(make_random_pair(3, **changes)).steps:
        check_text(step.change)
        if step.question:
            check_text(step.question.text)
            assert not re.search(METAPHORS, step.question.because)
            for choice in step.question.choices:
                check_text(choice)


def test_sentences_of_ambiguities_are_about_films():
    file = resources.files("mindref.study").joinpath("ambiguities.toml")
    for card in nonempty(tomllib.loads(file.read_text(encoding="utf-8"))["card"].values()):
        check_text(card["sentence"])
        check_text(card["results_title"])
        for reading in card["reading"].values():
            assert "behaviour" not in reading["text"]


def test_titles_measures_and_setups_of_variants_are_about_films():
    texts = [
        text for entry in variant_table().values() for text in (entry.title, entry.no_violation)
    ]
    texts += [text for measure in MEASURES.values() for text in (measure.name, measure.text)]
    texts.append(describe_setup(make_random_pair(1), Setup(pads=3, window=4)))
    assert len(texts) > 50
    assert not [text for text in texts if re.search(r"\bbehaviours?\b", text)]
