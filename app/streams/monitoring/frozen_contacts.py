"""Which contacts of the partitions that run here are frozen: for the worker's metrics."""

from app.domain.model.contact import Contact


class FrozenContacts:
    """Contacts whose state is unknown, by partition."""

    def __init__(self) -> None:
        self._frozen: dict[int, set[str]] = {}
        self._thawed: dict[int, set[str]] = {}

    def see(self, partition: int, contact_id: str, contact: Contact) -> None:
        """The contact's row as it is durable now."""
        if contact.frozen:
            self._frozen.setdefault(partition, set()).add(contact_id)
        elif contact_id in (known := self._frozen.get(partition, set())):
            known.discard(contact_id)

    def see_stored(self, partition: int, contact_id: str, contact: Contact) -> None:
        """The contact's row as it was when the partition became ours, read beside the folding."""
        if contact_id not in self._thawed.get(partition, ()):
            self.see(partition, contact_id, contact)

    def thawed(self, partition: int, contact_id: str) -> None:
        """An input was folded that thaws the contact; rows read from here on may be older."""
        self._thawed.setdefault(partition, set()).add(contact_id)

    def revoked(self, partition: int) -> None:
        """Another worker owns the partition now."""
        self._frozen.pop(partition, None)
        self._thawed.pop(partition, None)

    def count(self) -> int:
        """Frozen contacts over all partitions."""
        return sum(len(known) for known in self._frozen.values())
