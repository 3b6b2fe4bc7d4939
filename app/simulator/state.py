"""The simulator's memory: texts, opt-outs, counts. Bounded: of very many texts the oldest are forgotten."""

import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from sys import intern

from app.simulator.account_data import SimulatedAccount
from app.simulator.config import SimulatorConfig
from app.simulator.consent import OptOutRegistry
from app.simulator.faults import FaultConfig
from app.simulator.line_types import line_of
from app.simulator.queues import SenderQueues
from app.simulator.scripts import RESERVED
from app.simulator.seeded_chance import FaultSampler, roll
from app.simulator.senders import Senders, chosen
from app.simulator.text import StoredText

# Senders of services that are remembered; a caller may name any number as one.
MOST_SENDERS = 100_000
# Old texts are forgotten so many at a time (a share of those kept): each time walks over the gaps of the last.
BITE = 64


class SimulatorState:
    """`creates`: accepted create calls in order, the first `forgotten` of all left out."""

    def __init__(self, config: SimulatorConfig, holdings: SimulatedAccount | None = None) -> None:
        self.config = config
        self.holdings = holdings or SimulatedAccount(config)
        self.senders = Senders(self.holdings)
        self.texts: dict[str, StoredText] = {}
        self.creates: list[StoredText] = []
        self.forgotten = 0
        self.counts: Counter[str] = Counter()
        self.opt_outs, self.queues = OptOutRegistry(), SenderQueues()
        self._kept = 0
        self._to: dict[str, list[StoredText]] = {}
        self._sent_to: Counter[str] = Counter()
        self._service_of: dict[str, str] = {}
        self.set_faults(FaultConfig())

    def reset(self) -> None:
        """Forget everything but the configuration; texts under way end where they are."""
        for text in self.texts.values():
            text.final = True
        for memory in (self.texts, self.creates, self.counts, self._to, self._sent_to, self._service_of):
            memory.clear()
        self.opt_outs.clear()
        self.queues.clear()
        self.forgotten = self._kept = 0
        self.set_faults(FaultConfig())

    def configure(self, config: SimulatorConfig) -> None:
        """From now on. Another seed, or other scripts, begin the faults anew."""
        before, self.config = self.config, config
        if (config.seed, config.scripts, config.reserved) != (before.seed, before.scripts, before.reserved):
            self.set_faults(self.strikes.faults)

    def set_faults(self, faults: FaultConfig) -> None:
        """From now on, counted from zero."""
        scripts = {**(RESERVED if self.config.reserved else {}), **self.config.scripts}
        self.strikes = FaultSampler(self.config.seed, faults, scripts)

    def keep(self, text: StoredText) -> None:
        """Any text, in or out."""
        text.number, self._kept = self._kept, self._kept + 1
        self.texts[text.sid] = text
        self._to.setdefault(text.to, []).append(text)
        over = len(self.texts) - self.config.keep
        if over > self.config.keep // BITE:
            for old in list(islice(self.texts.values(), over)):
                self.forget(old)

    def accept(self, text: StoredText) -> None:
        """A create was taken."""
        self._sent_to[text.to] += 1
        text.sender, text.service = intern(text.sender), intern(text.service)
        text.nth, text.index = self._sent_to[text.to], self.forgotten + len(self.creates)
        if text.service and len(self._service_of) < MOST_SENDERS:
            self._service_of[text.sender] = text.service
        self.creates.append(text)
        over = len(self.creates) - self.config.keep
        if over > self.config.keep // BITE:
            self.forgotten += over
            del self.creates[:over]
        self.counts["accepted"] += 1
        self.keep(text)

    def forget(self, text: StoredText) -> None:
        """No longer fetched nor listed; a create stays told by `creates`."""
        del self.texts[text.sid]
        theirs = self._to[text.to]
        theirs.remove(text)
        if not theirs:
            del self._to[text.to]
            self._sent_to.pop(text.to, None)

    def sender_for(self, service: str, to: str, *, media: bool) -> str:
        """The number of the service that writes to this person: always the same one while it can (Twilio: sticky
        sender), unless the service has that off."""
        pool, found = self.senders.usable(service, to, media=media), self.senders.service(service)
        if not pool or found is None:
            return chosen(self.config.senders, to)
        if not found.sticky_sender:
            return chosen(pool, to, self._sent_to[to])
        before = (text.sender for text in self.newest(to) if text.service == service and text.sender in pool)
        return next(before, "") or chosen(pool, to)

    def line_of(self, number: str) -> str:
        """What Lookup says of a number: a line type, or `error:60600`."""
        script = self.strikes.scripts.get(number)
        scripted = script.line if script else ""
        return scripted or line_of(number, self.config.lines, roll(self.config.seed, "line", number))

    def service_of(self, sender: str) -> str:
        """The service that this number is in; of an account that nobody described the one that has sent from it."""
        return self.senders.service_of(sender) if self.holdings.described else self._service_of.get(sender, "")

    def blocked(self, service: str, sender: str, person: str) -> bool:
        """Whether the person said STOP to this service, or to this number or the service that it is in."""
        inside = service or self.service_of(sender)
        return self.opt_outs.blocked(service, sender, person) or self.opt_outs.blocked(inside, sender, person)

    def full(self, sender: str, now: float) -> bool:
        """Whether the sender's queue takes no more."""
        return bool(self.config.rate_of(sender)) and self.queues.full(sender, now, self.config.queue_s)

    def newest(self, to: str) -> Iterator[StoredText]:
        """Texts to a number ("": to any), the newest first."""
        return reversed(self._to.get(to, []) if to else self.texts.values())


def new_sid(*, media: bool) -> str:
    """SM... or, with media, MM...: 32 hex digits, never the same again, whatever the seed."""
    return f"{'MM' if media else 'SM'}{uuid.uuid4().hex}"
