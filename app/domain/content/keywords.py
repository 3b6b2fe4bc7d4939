"""What an inbound text asks for. `OptOutType` (Twilio's word) decides; else our own list, wider than Twilio's.

Twilio matches one-word texts only; people also write "STOP.", "please stop" or "remove me from your list", and their
phones add a signature. A STOP word may be written in any way, and phrases count as well (`domain.opt_out_phrases`);
START, HELP and the tenant's own words only as the whole text. What is unclear stays `none`: above all no START is read
into a text that may mean something else.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from app.domain.content.normalized_text import normalized_words, without_footer, without_signature
from app.domain.content.opt_out_phrases import STOP_WORDS, phrase_rule
from app.domain.model.vocabulary import Intent

START_WORDS = frozenset({"START", "YES", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})
# Names of what decided, beside those of the phrases. Twilio's default keywords, which Twilio answers itself.
KEYWORD = "keyword"
OWN_KEYWORD, OPT_OUT_TYPE = "tenant_keyword", "opt_out_type"
# Of a tenant's own word, in characters.
LONGEST_WORD = 40
_TYPES = {"STOP": Intent.STOP, "START": Intent.START, "HELP": Intent.HELP}
# STOPPP, STOOOP
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_SENTENCE_ENDS = re.compile(r"[.,;:!?\r\n]+")


class Classification(NamedTuple):
    """`keyword`: the word recognised, STOP for a phrase, or the first word of any other text; `arguments`: the words
    behind the first; `rule`: the name of the rule that decided, or "" if none did."""

    intent: Intent
    keyword: str
    arguments: tuple[str, ...]
    rule: str = ""


def read_intent(body: str, opt_out_type: str = "", own_stop_words: tuple[str, ...] = ()) -> Classification:
    """`own_stop_words`: the tenant's own (ARRET, ALTO ...), written in any way."""
    ours = _read(without_signature(body), own_stop_words)
    if (known := _TYPES.get(opt_out_type.strip().upper())) is not None:
        # Twilio's word, not the person's: what else they wrote stays sealed.
        keyword = known.name if ours.intent is Intent.NONE else ours.keyword
        return Classification(known, keyword, ours.arguments, OPT_OUT_TYPE)
    return ours


def own_word_fault(word: str) -> str:
    """The rule that a tenant's own stop word breaks, or "". A word that only repeats one of ours breaks none."""
    if any(unicodedata.category(character) == "Cc" for character in word):
        return "holds a control character"
    words = normalized_words(word)
    if not words:
        return "holds no letter and no digit"
    if len(word) > LONGEST_WORD:
        return f"is longer than {LONGEST_WORD} characters"
    for name, opposite in (("START", START_WORDS), ("HELP", HELP_WORDS)):
        if "".join(words) in opposite:
            return f"means {name}"
    return ""


def _read(body: str, own_stop_words: tuple[str, ...]) -> Classification:
    text = without_footer(" ".join(normalized_words(body)))
    words = text.split()
    arguments, joined = tuple(words[1:]), "".join(words)
    # START is not looked for within "un stop" or "s tart": in doubt a person stays opted out.
    if text in START_WORDS:
        return Classification(Intent.START, text, arguments, KEYWORD)
    if joined in HELP_WORDS:
        return Classification(Intent.HELP, joined, arguments, KEYWORD)
    if (stop := _DRAWN_OUT.sub(r"\1", joined)) in STOP_WORDS:
        return Classification(Intent.STOP, stop, arguments, KEYWORD)
    if joined in _joined(own_stop_words):
        return Classification(Intent.STOP, joined, arguments, OWN_KEYWORD)
    if rule := phrase_rule(text, _sentences(body)):
        return Classification(Intent.STOP, Intent.STOP.name, arguments, rule)
    return Classification(Intent.NONE, words[0] if words else "", arguments)


def _sentences(body: str) -> list[str]:
    parts = (" ".join(normalized_words(part)) for part in _SENTENCE_ENDS.split(body))
    return [without_footer(part) for part in parts if part]


@lru_cache(maxsize=1024)
def _joined(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset("".join(normalized_words(word)) for word in words)
