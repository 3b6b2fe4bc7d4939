"""Whether records leave the spool: since when none did, and whether Kafka forbids it."""

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from app import clock

# Kafka answers, and will refuse us again until somebody changes a right or a setting.
FORBIDDEN = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


class SpoolProgress:
    """`stall_s`: after so many seconds without a record that left, the spool only grows."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self.begin()

    def begin(self) -> None:
        """The line to Kafka was lost now, or there is none yet."""
        self._moved_s, self._obstacle, self._forbidden = clock.boot_s(), "", False

    def moved(self) -> None:
        """Records left now."""
        self._moved_s = clock.boot_s()

    def failed(self, error: Exception) -> None:
        """An attempt to send failed."""
        self._obstacle, self._forbidden = type(error).__name__, isinstance(error, FORBIDDEN)

    def stalled(self, *, forbidden: bool) -> str:
        """Since when the spool only grows, and why, or "". `forbidden`: whether it is asked about a refusal, which only
        we have and which lasts, or about all else, such as a Kafka that is away from every ingress."""
        still_s = clock.boot_s() - self._moved_s
        if forbidden is not self._forbidden or still_s <= self._stall_s:
            return ""
        since = clock.iso(clock.now_ms() - int(still_s) * 1000)
        return f"the spool only grows since {since}: {self._obstacle or 'nothing of it could be sent'}"
