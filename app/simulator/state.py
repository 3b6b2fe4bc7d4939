"""The simulator's memory: texts, opt-outs, counts."""

import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping

from app.simulator.chance import Strikes
from app.simulator.config import Faults, SimulatorConfig
from app.simulator.text import Text, iso


class State:
    """`creates`: accepted create calls in order; `opted_out`: (service or sender, person)."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.texts: dict[str, Text] = {}
        self.creates: list[Text] = []
        self.counts: Counter[str] = Counter()
        self.strikes = Strikes(config.seed, Faults())
        self._to: dict[str, list[Text]] = defaultdict(list)
        self._sent_to: Counter[str] = Counter()
        self._service_of: dict[str, str] = {}
        self._opted_out: set[tuple[str, str]] = set()

    def reset(self) -> None:
        """Forget everything but the configuration; texts under way end where they are."""
        for text in self.texts.values():
            text.final = True
        for memory in (self.texts, self.creates, self.counts, self._to, self._sent_to, self._service_of):
            memory.clear()
        self._opted_out.clear()
        self.set_faults(Faults())

    def configure(self, config: SimulatorConfig) -> None:
        """From now on. Another seed begins the faults anew."""
        reseeded = config.seed != self.config.seed
        self.config = config
        if reseeded:
            self.set_faults(self.strikes.faults)

    def set_faults(self, faults: Faults) -> None:
        """From now on, counted from zero."""
        self.strikes = Strikes(self.config.seed, faults)

    def keep(self, text: Text) -> None:
        """Any text, in or out."""
        text.number = len(self.texts)
        self.texts[text.sid] = text
        self._to[text.to].append(text)

    def accept(self, text: Text) -> None:
        """A create was taken."""
        self._sent_to[text.to] += 1
        text.nth, text.index = self._sent_to[text.to], len(self.creates)
        if text.service:
            self._service_of[text.sender] = text.service
        self.creates.append(text)
        self.counts["accepted"] += 1
        self.keep(text)

    def sender_for(self, to: str) -> str:
        """The number of the pool that writes to this person: always the same one (Twilio: sticky sender)."""
        pool = self.config.senders
        return pool[zlib.crc32(to.encode()) % len(pool)]

    def service_of(self, sender: str) -> str:
        """The service that has sent from this number, "" if none has."""
        return self._service_of.get(sender, "")

    def blocked(self, scope: str, person: str) -> bool:
        """Whether the person said STOP to this service or number."""
        return (scope, person) in self._opted_out

    def stop(self, scope: str, person: str) -> None:
        """STOP."""
        self._opted_out.add((scope, person))

    def start(self, scope: str, person: str) -> None:
        """START."""
        self._opted_out.discard((scope, person))

    def listed(self, query: Mapping[str, str]) -> list[Text]:
        """Newest first, by To, From, DateSent. As with Twilio, what was not sent yet has no DateSent to find it by."""
        texts = self._to.get(query["To"], []) if query.get("To") else list(self.texts.values())
        sender = query.get("From")
        return [t for t in reversed(texts) if (not sender or t.sender == sender) and _sent_within(t, query)]


def new_sid(*, media: bool) -> str:
    """SM... or, with media, MM...: 32 hex digits, never the same again, whatever the seed."""
    return f"{'MM' if media else 'SM'}{uuid.uuid4().hex}"


def _sent_within(text: Text, query: Mapping[str, str]) -> bool:
    """A day, or a second, or the span between two (both ends included); GMT."""
    on = query.get("DateSent", "")
    after = query.get("DateSent>") or query.get("DateSent>=") or on
    before = query.get("DateSent<") or query.get("DateSent<=") or on
    if not after and not before:
        return True
    at = iso(text.sent_at) if text.sent_at else ""
    return bool(at) and at[: len(after)] >= after and (not before or at[: len(before)] <= before)
