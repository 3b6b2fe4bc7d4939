"""What an inbound text asks for. `OptOutType` (Twilio's word) decides; else our own list, wider than Twilio's.

Twilio matches one-word texts only; people also write "STOP.", "Stop please" or "opt out", and US rules (47 CFR
64.1200(a)(10), in force since 2025-04-11) count any reasonable wording. STOP words are therefore matched as the whole
text or with up to two further words of courtesy; START and HELP only as the whole text. What is unclear stays `none`.
"""

import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from app.domain.words import Intent

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
STOP_PHRASES = frozenset({"OPT OUT", "STOP ALL"})
# CANCEL, END and QUIT begin many ordinary sentences: alone they mean STOP, with more words they do not.
COURTEOUS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "REVOKE", "OPTOUT", "OPT OUT", "STOP ALL"})
COURTESY = frozenset({"PLEASE", "NOW", "THANKS", "THANK", "YOU", "ME", "TEXTING", "IT", "THIS", "PLS"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})
_TYPES = {"STOP": Intent.STOP, "START": Intent.START, "HELP": Intent.HELP}


class Reading(NamedTuple):
    """`keyword`: the word recognised, or the first word of any other text; `arguments`: the words behind it."""

    intent: Intent
    keyword: str
    arguments: tuple[str, ...]


def read_intent(body: str, opt_out_type: str = "", extra_stop_words: Collection[str] = ()) -> Reading:
    """See the module. `extra_stop_words`: the tenant's own (ARRET, ALTO ...), upper case."""
    ours = _read(_words(body), extra_stop_words)
    if (known := _TYPES.get(opt_out_type.strip().upper())) is not None:
        # Twilio's word, not the person's: what else they wrote stays sealed.
        return Reading(known, known.name if ours.intent is Intent.NONE else ours.keyword, ours.arguments)
    return ours


def _read(words: list[str], extra_stop_words: Collection[str]) -> Reading:
    keyword, arguments = (words[0] if words else ""), tuple(words[1:])
    text = " ".join(words)
    if _stops(words, text, frozenset(extra_stop_words)):
        return Reading(Intent.STOP, keyword, arguments)
    if text in START_WORDS:
        return Reading(Intent.START, keyword, arguments)
    return Reading(Intent.HELP if text in HELP_WORDS else Intent.NONE, keyword, arguments)


def _words(body: str) -> list[str]:
    """Upper-case words; punctuation and any kind of blank part them, so STOP., «stop» and opt-out are read."""
    text = unicodedata.normalize("NFKC", body).upper()
    return "".join(c if c.isalnum() else " " for c in text).split()


def _stops(words: list[str], text: str, extra: frozenset[str]) -> bool:
    if text in STOP_WORDS or text in STOP_PHRASES or text in extra:
        return True
    for length in (1, 2):
        head, tail = " ".join(words[:length]), words[length:]
        if head in COURTEOUS and 0 < len(tail) <= 2 and all(word in COURTESY for word in tail):
            return True
    return False
