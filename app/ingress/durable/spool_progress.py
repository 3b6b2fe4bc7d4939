"""Detects a spool that only grows: how long no record was sent, and whether Kafka denies access."""

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from app import clock

# Errors that last until an operator changes a right or a setting.
FORBIDDEN = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


class SpoolProgress:
    """`stall_s`: seconds without a sent record after which the spool counts as stalled."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self.begin()

    def begin(self) -> None:
        """Start to measure: the connection to Kafka was lost now, or there is none yet."""
        self._moved_s, self._obstacle, self._forbidden = clock.boot_s(), "", False

    def moved(self) -> None:
        """Note that records were sent now."""
        self._moved_s = clock.boot_s()

    def failed(self, error: Exception) -> None:
        """Note the error of a failed attempt to send."""
        self._obstacle, self._forbidden = type(error).__name__, isinstance(error, FORBIDDEN)

    def stalled(self, *, forbidden: bool) -> str:
        """Describe since when the spool only grows, and why, or "". `forbidden`: report denied access, which
        concerns this process alone and lasts; else every other cause, such as a Kafka that no ingress can reach."""
        still_s = clock.boot_s() - self._moved_s
        if forbidden is not self._forbidden or still_s <= self._stall_s:
            return ""
        since = clock.iso(clock.now_ms() - int(still_s) * 1000)
        return f"the spool only grows since {since}: {self._obstacle or 'nothing of it could be sent'}"
