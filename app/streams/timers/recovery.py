"""Arming: the timers of a partition that became ours, learnt from its rows bit by bit.

Nothing that is folded waits for it: the first input must not stand behind all the rows there are. Meanwhile rows
change, and what a durable change has armed is newer than what this reads: it is passed over here.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from app.domain.model.contact import Contact, Message
from app.streams.timers.checkpoints import CheckpointBase, PartitionCheckpoints, base_of
from app.streams.timers.timers import Now, PartitionTimers

Row = TypeVar("Row", Contact, Message)


class TimerRecovery:
    """`see` is told every message in a contact's row, `see_contact` every such row with its id;
    `fresh`: ids of messages and contacts that changed since the partition is ours; `note` is told the key of a row that
    cannot be armed, and why: it has no timers, and all others have theirs."""

    def __init__(
        self,
        timers: PartitionTimers,
        checkpoints: PartitionCheckpoints,
        see: Callable[[Message], None],
        see_contact: Callable[[str, Contact], None],
        contacts: Iterable[tuple[bytes, Contact]],
        messages: Iterable[tuple[bytes, Message]],
        note: Callable[[str, Exception], None],
    ) -> None:
        self._note = note
        self._timers, self._checkpoints, self._see, self._see_contact = timers, checkpoints, see, see_contact
        self._contacts, self._messages = iter(contacts), iter(messages)
        self._bases: list[tuple[CheckpointBase, str]] = []
        self.fresh: set[str] = set()

    def some(self, count: int, now: Now) -> bool:
        """Read so many rows of each table more. False when there was none left: then all is armed."""
        left = False
        for key, contact in islice(self._contacts, count):
            self._try(self._contact, key.decode("latin-1"), contact, now)
            left = True
        for key, message in islice(self._messages, count):
            self._try(self._message, key.decode("latin-1"), message, now)
            left = True
        if not left:
            self._checkpoints.learn(self._bases)
        return left

    def _try(self, arm: Callable[[str, Row, Now], None], key: str, row: Row, now: Now) -> None:
        try:
            arm(key, row, now)
        except Exception as error:  # noqa: BLE001 - one row that is odd must not end the timers of all
            self._note(key, error)

    def _message(self, message_id: str, message: Message, now: Now) -> None:
        if message_id not in self.fresh:
            self._timers.arm(message, now)

    def _contact(self, contact_id: str, contact: Contact, now: Now) -> None:
        self._see_contact(contact_id, contact)
        if contact_id not in self.fresh:
            self._bases.append((base_of(contact), contact_id))
        for message in contact.messages.values():
            if message.id not in self.fresh:
                # It may have an older row of its own, whose timers say nothing.
                self.fresh.add(message.id)
                self._timers.arm(message, now)
                self._see(message)
