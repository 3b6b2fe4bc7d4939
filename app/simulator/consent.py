"""Twilio's own STOP list.

Scope (Twilio: opt-out keywords): the one number that was texted, or the whole service that the number is in. A
toll-free number is blocked in the network as well, whatever sends from it, and only START or UNSTOP undo that. Twilio
handles nothing for a short code outside a service.
"""

STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
START = {"START", "YES", "UNSTOP"}
HELP = {"HELP", "INFO"}
TOLL_FREE_START = {"START", "UNSTOP"}
TOLL_FREE = tuple(f"+1{code}" for code in (800, 833, 844, 855, 866, 877, 888))
# What Twilio texts by itself, so that the answer of a webhook need not.
CONFIRMED = {
    "": "",
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this number.",
    "START": "You have successfully been re-subscribed to messages from this number.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}


def keyword(body: str) -> str:
    """STOP, START, HELP, or "". Twilio reads texts of one word only, in any case."""
    word = body.strip().upper()
    return "STOP" if word in STOP else "START" if word in START else "HELP" if word in HELP else ""


class OptOutRegistry:
    """Who said STOP to which service or number."""

    def __init__(self) -> None:
        self._stopped: set[tuple[str, str]] = set()

    def blocked(self, service: str, sender: str, person: str) -> bool:
        """Whether a text of this sender, in this service ("": in none), is blocked."""
        if not self._stopped:
            return False
        by_number = not service or sender.startswith(TOLL_FREE)
        return (service, person) in self._stopped or (by_number and (sender, person) in self._stopped)

    def heard(self, service: str, number: str, person: str, body: str) -> str:
        """A person texts this number of ours: STOP, START or HELP as Twilio understood it, "" if it did nothing."""
        kind, toll_free = keyword(body), number.startswith(TOLL_FREE)
        if not service and number.isdecimal() and len(number) <= 6:
            return ""
        if kind == "STOP":
            self._stopped |= {(service or number, person), (number if toll_free else service or number, person)}
        elif kind == "START":
            if toll_free and body.strip().upper() not in TOLL_FREE_START:
                return ""
            self._stopped -= {(service, person), (number, person)}
        elif kind == "HELP" and toll_free and self.blocked(service, number, person):
            return ""
        return kind

    def clear(self) -> None:
        """Forget every STOP of the simulated account."""
        self._stopped.clear()
