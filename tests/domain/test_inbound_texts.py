"""What people write, and how it is read: a table of texts, each with the rule that decides; and writing in general."""

import time
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.content.keywords import HELP_WORDS, KEYWORD, OWN_KEYWORD, START_WORDS, own_word_fault, read_intent
from app.domain.content.normalized_text import normalized_words
from app.domain.content.opt_out_phrases import MOST_WORDS, RULES, STOP_WORDS
from app.domain.model.vocabulary import Intent


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    intent: Intent
    rule: str


TABLE = msgspec.json.decode((Path(__file__).parent / "inbound_texts.json").read_bytes(), type=list[Case])
ORDINARY = [case.text for case in TABLE if case.intent is Intent.NONE]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.text)
def test_a_text_is_read_by_its_rule(case: Case) -> None:
    reading = read_intent(case.text)
    assert (reading.intent, reading.rule) == (case.intent, case.rule)


def test_the_table_shows_each_rule_and_stands_for_each_phrase_as_stop() -> None:
    assert {case.rule for case in TABLE} == {"", KEYWORD, *(rule.name for rule in RULES)}
    assert {read_intent(case.text).keyword for case in TABLE if case.rule not in ("", KEYWORD)} == {"STOP"}


@pytest.mark.parametrize(
    "text", ["Arrêt", "ARRET", "arrêt!", "ＡＲＲＥＴ", "«arret»", "Arre\u0301t", "Arrêt\n--\nEnvoyé de mon iPhone"]
)
@pytest.mark.parametrize("word", ["ARRÊT", "arret", "Arrêt"])
def test_a_tenants_own_word_counts_however_either_side_writes_it(word: str, text: str) -> None:
    reading = read_intent(text, own_stop_words=("basta", word))
    assert (reading.intent, reading.keyword, reading.rule) == (Intent.STOP, "ARRET", OWN_KEYWORD)


@pytest.mark.parametrize("text", ["stop-sms", "Stop SMS", "STOPSMS", "stop sms."])
def test_a_tenants_own_word_of_several_parts_counts_with_any_blank_or_hyphen_between(text: str) -> None:
    assert read_intent(text, own_stop_words=("Stop-SMS",)).rule == OWN_KEYWORD


def test_a_tenants_own_word_counts_as_the_whole_text_only() -> None:
    for text in ("alto ahi", "un alto", "el alto por favor"):
        assert read_intent(text, own_stop_words=("ALTO",)).intent is Intent.NONE


FAULTS = {
    "": "holds no letter and no digit",
    " -- ": "holds no letter and no digit",
    "\u200b": "holds no letter and no digit",
    "x" * 41: "is longer than 40 characters",
    "AR\tRET": "holds a control character",
    "arret\x00": "holds a control character",
    "start": "means START",
    "Un-Stop": "means START",
    "ｙｅｓ": "means START",
    "Hélp!": "means HELP",
}


@pytest.mark.parametrize("word", FAULTS)
def test_what_cannot_be_a_tenants_own_word_is_named(word: str) -> None:
    assert own_word_fault(word) == FAULTS[word]


@pytest.mark.parametrize("word", ["ARRÊT", "stop", "no más", "停止", "توقف", "x" * 40, "opt-out"])
def test_what_can_be_one_breaks_no_rule(word: str) -> None:
    assert own_word_fault(word) == ""


@st.composite
def written(draw: st.DrawFn, word: str) -> str:
    """A word as somebody may write it: any case, accents, width and punctuation."""
    letters = [draw(st.sampled_from([c, c.lower(), chr(ord(c) + 0xFEE0), f"{c}\u0301", f"{c}\u200b"])) for c in word]
    around = st.text(st.sampled_from(" .,!?«»“”*-_\t\u00a0\u200e"), max_size=3)
    return draw(around.filter(lambda text: "\n" not in text)) + "".join(letters) + draw(around)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_keyword_counts_however_it_is_written(data: st.DataObject) -> None:
    intents = {Intent.STOP: STOP_WORDS, Intent.START: START_WORDS, Intent.HELP: HELP_WORDS}
    intent = data.draw(st.sampled_from(list(intents)))
    word = data.draw(st.sampled_from(sorted(intents[intent])))
    reading = read_intent(data.draw(written(word)))
    assert (reading.intent, reading.keyword, reading.rule) == (intent, word, KEYWORD)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_normalized_words_stay_as_they_are_when_they_are_normalized_again(text: str) -> None:
    words = normalized_words(text)
    assert normalized_words(" ".join(words)) == words
    assert all(word.isalnum() and not any(map(unicodedata.combining, word)) for word in words)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_raises_and_the_rule_says_whether_it_means_anything(text: str) -> None:
    reading = read_intent(text, own_stop_words=("ALTO",))
    assert bool(reading.rule) is (reading.intent is not Intent.NONE)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ORDINARY), st.sampled_from(["Liked", "Loved", "Emphasized", "Questioned"]), st.sampled_from(TABLE)
)
def test_a_tapback_is_an_ordinary_text_whatever_it_quotes(ordinary: str, verb: str, quoted: Case) -> None:
    for text in (f"{verb} “{quoted.text}”", f"{verb} “{ordinary} {quoted.text}”"):
        assert read_intent(text).intent is Intent.NONE


@pytest.mark.parametrize(
    "words", ["please ", "stop ", "ever again ", "right now ", "thank you ok ", "all marketing spam ", "text message "]
)
@pytest.mark.parametrize("start", ["", "stop ", "no more "])
def test_what_nearly_matches_is_read_at_once(words: str, start: str) -> None:
    for length in (MOST_WORDS, 800):
        text = start + " ".join((words * length).split()[: length - 3]) + " x"
        began = time.process_time()
        assert read_intent(text).intent is Intent.NONE
        assert time.process_time() - began < 0.2


def test_a_keyword_counts_however_often_it_is_repeated() -> None:
    assert read_intent("STOP " * 300).rule == "keyword_repeated"
