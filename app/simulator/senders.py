"""Who may send, and which number of a service does: by what the account holds, once that is described.

An account of which nobody said anything lets any number and any service send. Where Twilio's documentation leaves the
code of a refusal open (a sender outside the named service), 21606 is given.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from app.simulator.account_data import SimulatedAccount, SimulatedService
from app.simulator.recipient import NO_SENDER

Fault = tuple[int, str]
NOT_OURS = (21660, "Mismatch between the 'From' number and the account")
NO_MMS = (21621, "The 'From' number has not been enabled for MMS")
NO_ALPHA = (21612, "The 'To' phone number is not currently reachable using the 'From' phone number via SMS")
NO_SUCH_SERVICE = (21701, "The Messaging Service does not exist")
NOBODY_FITS = (21703, "The Messaging Service does not have a phone number available to send a message")
EMPTY_SERVICE = (21704, "The Messaging Service contains no phone numbers")
# The North American plan: area codes, and no senders with letters (Twilio: alphanumeric sender ID).
NANP = "+1"


class Sender(NamedTuple):
    """A number, a short code, or, with `alpha`, a name."""

    address: str
    sms: bool = True
    mms: bool = True
    alpha: bool = False


class Senders:
    """Decides which simulated number may send a text."""

    def __init__(self, holdings: SimulatedAccount) -> None:
        self._holdings = holdings

    def service(self, sid: str) -> SimulatedService | None:
        """The service of the account with this SID."""
        return self._holdings.services.get(sid)

    def service_of(self, address: str) -> str:
        """The SID of the service that a sender is in, "" if it is in none."""
        services = self._holdings.services.values()
        return next((s.sid for s in services if any(sender.address == address for sender in self._pool(s))), "")

    def hooks(self, address: str) -> tuple[str, str]:
        """Where the account has texts to this number posted, and where if that fails; "" for what it does not say."""
        service = self.service(self.service_of(address))
        if service is not None and not service.use_inbound_webhook_on_number:
            return service.inbound_request_url or "", service.fallback_url or ""
        found = self._holdings.found(address) if address else ()
        return next(((number.sms_url, number.sms_fallback_url) for number in found), ("", ""))

    def fault(self, service: str, sender: str, to: str, *, media: bool) -> Fault | None:
        """Why this text may not be sent so; `sender` or `service` is "" if none is named."""
        if not self._holdings.described:
            return None
        return self._of_service(service, sender, to, media=media) if service else self._alone(sender, to, media=media)

    def usable(self, service: str, to: str, *, media: bool) -> Sequence[str]:
        """Senders of the service that could send this text; of the same area code if there are any and it so asks."""
        found = self.service(service)
        if found is None:
            return ()
        able = self._able(found, to, media=media)
        near = [address for address in able if to.startswith(NANP) and address[:5] == to[:5]]
        return near if near and found.area_code_geomatch else able

    def _of_service(self, sid: str, sender: str, to: str, *, media: bool) -> Fault | None:
        service = self.service(sid)
        if service is None:
            return NO_SUCH_SERVICE
        if not self._pool(service):
            return EMPTY_SERVICE
        able = self._able(service, to, media=media)
        if sender:
            return None if sender in able else NO_SENDER if self._held(sender) else NOT_OURS
        return None if able else NOBODY_FITS

    def _alone(self, sender: str, to: str, *, media: bool) -> Fault | None:
        if _is_alpha(sender):
            return NO_ALPHA if to.startswith(NANP) else None
        found = self._held(sender)
        if found is None:
            return NOT_OURS
        if media and not found.mms:
            return NO_MMS
        return None if media or found.sms else NO_SENDER

    def _able(self, service: SimulatedService, to: str, *, media: bool) -> list[str]:
        """A service that converts sends a picture as a text with a link."""
        pictures = media and not service.mms_converter
        return [sender.address for sender in self._pool(service) if _sends(sender, to, pictures=pictures)]

    def _held(self, address: str) -> Sender | None:
        """A sender of the account by its address, whatever channel it is named for."""
        address = address.rpartition(":")[2]
        numbers = [Sender(n.phone_number, n.sms, n.mms) for n in self._holdings.found(address)] if address else []
        codes = (code for service in self._holdings.services.values() for code in service.short_codes)
        return next(iter(numbers), Sender(address) if address in codes else None)

    def _pool(self, service: SimulatedService) -> Sequence[Sender]:
        numbers = (self._holdings.numbers[sid] for sid in service.numbers)
        return [
            *(Sender(number.phone_number, number.sms, number.mms) for number in numbers),
            *(Sender(code) for code in service.short_codes),
            *(Sender(name, mms=False, alpha=True) for name in service.alpha_senders),
        ]


def chosen(pool: Sequence[str], to: str, turn: int = 0) -> str:
    """One of the pool, by the person alone; with `turn` the next one for each text."""
    return pool[(zlib.crc32(to.encode()) + turn) % len(pool)]


def _sends(sender: Sender, to: str, *, pictures: bool) -> bool:
    return (sender.mms if pictures else sender.sms) and not (sender.alpha and to.startswith(NANP))


def _is_alpha(sender: str) -> bool:
    return ":" not in sender and any(character.isalpha() for character in sender)
