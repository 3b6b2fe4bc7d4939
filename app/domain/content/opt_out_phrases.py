"""Texts of several words that ask for no more texts, as rules with names.

47 CFR 64.1200(a)(10): consent may be revoked in any reasonable manner, so a text counts if a reasonable person would
read it so. Each rule describes a whole text (or a whole sentence), never a part of one: "don't stop", "bus stop",
"STOP 12345" and a tapback that quotes a STOP match none, and stay ordinary texts.
"""

import re
from typing import NamedTuple

# Alone each of them means STOP (Twilio, default keywords; the rule names most of them too).
STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
# A longer text is somebody telling something; and patterns need not be quick on it.
MOST_WORDS = 16

_KEYWORD = "|".join(sorted(STOP_WORDS))
# No text can be read in two ways by one of these lists, which would cost exponential time.
_POLITE = "PLEASE|PLS|PLZ|KINDLY|THANKS|THANK (?:YOU|U)|THX|TY"
_TO_OPEN = (
    "HI|HEY|HELLO|YES|YEAH|NO|NOPE|SORRY|JUST|I SAID|WRONG NUMBER|(?:(?:IM|I AM) )?(?:NOT|NO LONGER) INTERESTED|"
    "(?:I|WE) (?:WANT|WISH|NEED|WOULD LIKE) (?:YOU )?TO|ID LIKE (?:YOU )?TO|YOU (?:MUST|NEED TO|HAVE TO)"
)
_TO_CLOSE = "NOW|RIGHT NOW|RIGHT AWAY|IMMEDIATELY|AT ONCE|ASAP|ALREADY|FOREVER|PERMANENTLY|SIR|MAAM"
_OPENING, _CLOSING = f"{_POLITE}|OK|OKAY|{_TO_OPEN}", f"{_POLITE}|OK|OKAY|{_TO_CLOSE}"
_ASKING = f"{_OPENING}|(?:CAN|COULD|WOULD|WILL) (?:YOU|U|WE|I)"
_AGAIN = f"{_CLOSING}|AGAIN|EVER|ANYMORE|ANY MORE|ANY LONGER"

_NUMBER = "(?:THIS|MY|OUR) (?:(?:PHONE|CELL|MOBILE) )?(?:NUMBER|PHONE|CELL|MOBILE)"
_WHOM = f"(?:ME|US|{_NUMBER})"
_TEXTS = "(?:(?:SMS|TEXT) MESSAGES|TEXTS|TXTS|MESSAGES|MSGS|SMS|ALERTS|NOTIFICATIONS|REMINDERS)"
_ADS = "(?:TEXT|TXT|MESSAGE|MSG|UPDATES|SPAM|ADS|OFFERS|PROMOS|PROMOTIONS|MARKETING)"
_WHICH_ONE = "ALL|OF|ANY|MORE|FURTHER|FUTURE|THE|THESE|THIS|THOSE|YOUR|UR|MY|MARKETING|PROMOTIONAL|PROMO|SPAM|AUTOMATED"
_WHICH = f"(?:(?:{_WHICH_ONE}) )*"
_TO_WHOM = f"(?: (?:TO|AT|ON|FOR|FROM) (?:{_WHOM}|YOU|U))?"
_MESSAGES = f"{_WHICH}(?:{_TEXTS}|{_ADS}){_TO_WHOM}"
_KIND = "(?:(?:TEXT|TEXTING|TEXT MESSAGE|MESSAGE|MESSAGING|SMS|MAILING|CALL|CALLING|CONTACT|MARKETING) )?"
_LIST = f"{_WHICH}{_KIND}(?:LISTS?|DATABASE|SYSTEM)"
_FROM = f"(?: (?:OFF|OFF OF|FROM|OF|OUT OF|TO) (?:{_LIST}|{_WHICH}(?:{_TEXTS}|{_ADS})|ALL|THIS|THESE|EVERYTHING))?"
_DO_NOT = "(?:DO NOT|DONT|NEVER|DO NOT EVER|DONT EVER)"
_WRITE, _WRITING = "(?:TEXT|TXT|MESSAGE|MSG|SMS|CONTACT)", "(?:TEXTING|TXTING|MESSAGING|MSGING|CONTACTING)"


class Rule(NamedTuple):
    """A rule's name, and the whole text that it describes."""

    name: str
    pattern: re.Pattern[str]


def _rule(name: str, core: str, opening: str = _ASKING, closing: str = _AGAIN) -> Rule:
    return Rule(name, re.compile(f"(?:(?:{opening}) )*(?:{core})(?: (?:{closing}))*"))


RULES = (
    _rule("keyword_repeated", f"(?:{_KEYWORD})(?:(?: (?:{_POLITE}))* (?:{_KEYWORD}))+", _POLITE, _POLITE),
    _rule("keyword_politely", f"{_KEYWORD}|STOP ALL|OPT OUT", f"{_POLITE}|RE", _POLITE),
    # CANCEL, END and QUIT begin many ordinary sentences; these do not.
    _rule("stop", "STOP ?ALL|REVOKE|CEASE AND DESIST", _OPENING, _CLOSING),
    _rule("stop", "STOP(?: (?:IT|THIS|THAT|THESE|ME|EVERYTHING|ALL OF (?:IT|THIS|THESE)))?", _OPENING, _CLOSING),
    _rule(
        "stop_texting", f"(?:STOP|QUIT|CEASE) (?:{_WRITING}|SPAMMING|BOTHERING|HARASSING)(?: {_WHOM})?(?: YOU [A-Z]+)?"
    ),
    _rule("stop_texting", f"STOP (?:CALLING {_WHOM}|{_WRITE} {_WHOM})"),
    _rule("stop_sending", "(?:STOP|QUIT) SENDING(?: ME| US)?(?: (?:IT|THIS|THESE|STUFF|THIS STUFF|ANYTHING))?"),
    _rule(
        "stop_messages",
        f"(?:STOP|QUIT|CEASE)(?: WITH| SENDING| GETTING| RECEIVING)?(?: ME| US)? {_MESSAGES}",
    ),
    _rule("stop_messages", f"(?:CANCEL|END|DISCONTINUE) {_WHICH}{_TEXTS}{_TO_WHOM}"),
    _rule("do_not_text", f"{_DO_NOT} (?:{_WRITE}(?: {_WHOM})?|(?:BOTHER|SPAM|WRITE|WRITE TO) {_WHOM})"),
    _rule("do_not_send", f"{_DO_NOT} SEND(?: ME| US)? {_MESSAGES}"),
    _rule("do_not_send", f"{_DO_NOT} SEND (?:ME|US) (?:THIS|THESE|STUFF|THIS STUFF|ANYTHING)"),
    _rule("no_more_messages", f"NO MORE {_MESSAGES}"),
    _rule(
        "do_not_want",
        f"(?:I|WE) (?:DO NOT|DONT|NO LONGER) (?:WANT|WISH)(?: TO (?:GET|RECEIVE))? {_MESSAGES}",
    ),
    _rule("remove_me", f"(?:REMOVE|DELETE|UNLIST) {_WHOM}{_FROM}|LOSE (?:MY|THIS) NUMBER"),
    _rule("remove_me", f"(?:BE REMOVED|TAKE {_WHOM} OFF)(?: (?:FROM |OF )?{_LIST})?"),
    _rule("remove_me", f"GET {_WHOM} OFF(?: FROM| OF)? {_LIST}"),
    _rule("opt_out", f"(?:(?:I|IM|I AM) )?OPT(?:ING)?(?: ME| US)? ?OUT{_FROM}"),
    _rule("unsubscribe", f"UN ?SUB(?:SCRIBE|CRIBE|SCIBE|SRIBE)?(?: {_WHOM}| ALL)?{_FROM}"),
    _rule(
        "revoke_consent",
        f"(?:I )?(?:REVOKE|WITHDRAW)(?: MY| ALL)? (?:CONSENT|PERMISSION)"
        f"(?: TO (?:BE TEXTED|{_WRITE} {_WHOM}|(?:GET |RECEIVE )?{_MESSAGES}))?",
    ),
    _rule("leave_me_alone", "LEAVE (?:ME|US) ALONE"),
)
# A sentence that says nothing by itself.
_FILLER = re.compile(f"(?:{_OPENING}|{_TO_CLOSE})(?: (?:{_OPENING}|{_TO_CLOSE}))*")


def phrase_rule(text: str, sentences: list[str]) -> str:
    """Name of the first rule that describes the whole text, or each of its sentences; "" if none does.

    Text and sentences are normalized words between single blanks (`domain.normalized_text`).
    """
    words = text.split()
    if len(words) > MOST_WORDS and len(set(words)) > 1:
        return ""
    if name := _rule_of(text):
        return name
    names = [_rule_of(sentence) for sentence in sentences if not _FILLER.fullmatch(sentence)]
    return names[0] if names and all(names) else ""


def _rule_of(text: str) -> str:
    return next((rule.name for rule in RULES if rule.pattern.fullmatch(text)), "")
