"""Agent `contacts`: folds the log of each contact into its row; the only writer of tables `contacts` and `messages`.

No rule lives here: `contact_fold` turns inputs into rows and records; once the rows are durable, this agent starts the
calls of fresh claims and arms the timers from the rows as they stand. What the rows of a new partition say is due is
learnt beside the folding (`arm_some`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app import clock
from app.domain.fold import Folded
from app.domain.model.contact import Contact, Message, find_attempt
from app.domain.model.events import AttemptClaimed, ConsentChanged
from app.domain.model.frozen_contact import ContactUnfrozen
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.vocabulary import CreateResult, DeliveryStatus
from app.domain.rules.line_type import lookup_due
from app.streams.agents.contact_fold import CONTACTS, MESSAGES, ContactFold, DeadLetterSink
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine import failpoints
from app.streams.engine.agent import FoldScope, Input, UnreadableRecordError
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.monitoring.frozen_contacts import FrozenContacts
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.sending.calls import CallRunner, Claim
from app.streams.sending.create_request import CreateRequestBuilder
from app.streams.timers.checkpoints import PartitionCheckpoints
from app.streams.timers.recovery import TimerRecovery
from app.streams.timers.timers import PartitionTimers


class ContactsAgent(ContactFold):
    """`appended_after`: see `AppendTimes`, of a partition and offset of this agent's topic."""

    rest_s = 0.0
    background = False

    def __init__(
        self,
        topic: str,
        notices: OutputBuilder,
        composer: CreateRequestBuilder,
        dead_letter: DeadLetterSink,
        pk: str,
        doubts: AttemptsInDoubt,
        checkpoint_after_ms: int,
        faults: ContainedFaults | None = None,
    ) -> None:
        super().__init__(notices, dead_letter, pk)
        self._faults = faults or ContainedFaults()
        self.topic, self._composer, self._doubts = topic, composer, doubts
        self._touched: dict[int, set[tuple[str, str]]] = {}
        self._claimed: dict[int, set[tuple[str, str, int]]] = {}
        self._based: dict[int, set[str]] = {}
        self._arming: dict[int, TimerRecovery] = {}
        self._checkpoint_after_ms = checkpoint_after_ms
        self.timers: dict[int, PartitionTimers] = {}
        self.checkpoints: dict[int, PartitionCheckpoints] = {}
        self.calls: CallRunner | None = None
        self.frozen_contacts = FrozenContacts()
        self.appended_after: Callable[[int, int], float | None] = lambda partition, offset: None

    def folded(self, partition: int, contact_id: str, folded: Folded) -> None:
        """Note what is to be done once the rows are durable; a STOP holds calls back at once."""
        if folded.changed and folded.contact.based_offset == folded.contact.watermark:
            self._based.setdefault(partition, set()).add(contact_id)
        touched = self._touched.setdefault(partition, set())
        for event in folded.events:
            if (key := getattr(event, "key", None)) is not None:
                touched.add((contact_id, key))
            if isinstance(event, AttemptClaimed):
                self._claimed.setdefault(partition, set()).add((contact_id, event.key, event.n))
            elif isinstance(event, ContactUnfrozen) and event.last:
                self.frozen_contacts.thawed(partition, contact_id)
            elif isinstance(event, ConsentChanged) and event.opted_out and self.calls is not None:
                self.calls.stop_contact(contact_id)

    def is_foreign(self, record: Input, parsed: ContactInput) -> None:
        """Tell the operators: a process with another pseudonym key runs on this Kafka."""
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        error = UnreadableRecordError("pk", "is foreign")
        self._faults.note("foreign_key", error, fingerprint=parsed.pk[:8], tenant=parsed.tenant[:80], **where)

    def tick(self, partition: int, scope: FoldScope) -> None:
        """Nothing here is driven by the clock: timers write inputs."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """Rows are durable: start the calls of fresh claims that still stand, arm the timers of what changed."""
        rows: Mapping[bytes, Contact] = changed.get(CONTACTS, {})  # type: ignore[assignment]
        for contact_id, key, n in self._claimed.pop(partition, ()):
            self._start(partition, rows[contact_id.encode()], contact_id, key, n)
        timers, now = self.timers[partition], (clock.now_ms(), clock.boot_s())
        touched, based = self._touched.pop(partition, set()), self._based.pop(partition, set())
        if (arming := self._arming.get(partition)) is not None:
            arming.fresh.update(based, (f"{contact_id}-{key}" for contact_id, key in touched))
            arming.fresh.update(key.decode() for key in changed.get(MESSAGES, ()))
        for message_id, row in changed.get(MESSAGES, {}).items():
            if row is None:
                timers.disarm(message_id.decode())
            else:
                timers.arm(row, now)
                self._doubts.see(partition, row)
        # What a contact's row holds is newer than the row that the message had before it came back.
        for contact_id, key in touched:
            contact = rows.get(contact_id.encode())
            message = contact.messages.get(key) if contact is not None else None
            if message is not None:
                timers.arm(message, now)
                self._doubts.see(partition, message)
        for contact_key, contact in rows.items():
            self.frozen_contacts.see(partition, contact_key.decode("latin-1"), contact)
        for contact_id in based:
            self.checkpoints[partition].arm(contact_id, rows[contact_id.encode()], now[0])

    def _start(self, partition: int, contact: Contact, contact_id: str, key: str, n: int) -> None:
        """Start the call of a claim, unless an input of the same slice has answered it, or it is not kept any more."""
        message = contact.messages.get(key)
        attempt = None if message is None else find_attempt(message, n)
        if self.calls is None or message is None or attempt is None:
            return
        if attempt.answer is not CreateResult.OPEN or attempt.progress is not DeliveryStatus.CLAIMED:
            return
        # A STOP that was not read yet may lie behind the turn, and must not wait for longer than claim_ttl. A turn of
        # unknown age lay there before this worker read the partition: it counts as older than any claim_ttl.
        appended_s = self.appended_after(partition, attempt.claimed_offset)
        look_up = lookup_due(contact, message.policy, attempt.claimed_ms)
        claim = Claim(
            tenant=message.tenant,
            contact_id=contact_id,
            message_id=message.id,
            attempt=n,
            partition=partition,
            claimed_s=-math.inf if appended_s is None else appended_s,
            compose=lambda: self._composer.create(message, n),
            look_up=look_up,
            invalid_after=self._composer.invalid_after(message.tenant),
        )
        if contact.consent.opted_out or contact.frozen:
            claim.withdrawn = "opted_out" if contact.consent.opted_out else "frozen"
        failpoints.reach("after_claim")
        self.calls.start(claim)

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """Begin to arm timers from the rows; claims without an answer are inherited and stay in doubt."""
        timers = self.timers[partition] = PartitionTimers()
        checkpoints = self.checkpoints[partition] = PartitionCheckpoints(self._checkpoint_after_ms)
        self._doubts.assigned(partition)

        def see(message: Message) -> None:
            self._doubts.see(partition, message, log_new=False)

        def see_contact(contact_id: str, contact: Contact) -> None:
            self.frozen_contacts.see_stored(partition, contact_id, contact)

        def note(key: str, error: Exception) -> None:
            self._faults.note("arming", error, row=key)

        self._arming[partition] = TimerRecovery(
            timers, checkpoints, see, see_contact, rows[CONTACTS], rows[MESSAGES], note
        )

    def arm_some(self, count: int) -> bool:
        """Learn what is due from `count` rows more of a partition that became ours. False: all is armed."""
        for partition, arming in self._arming.items():
            if not arming.some(count, (clock.now_ms(), clock.boot_s())):
                del self._arming[partition]
            return True
        return False

    def revoked(self, partition: int) -> None:
        """Another worker owns the partition now."""
        self._arming.pop(partition, None)
        self.timers.pop(partition, None)
        self._doubts.revoked(partition)
        self.frozen_contacts.revoked(partition)
        self.checkpoints.pop(partition, None)
        self._based.pop(partition, None)
        self._claimed.pop(partition, None)
        self._touched.pop(partition, None)
