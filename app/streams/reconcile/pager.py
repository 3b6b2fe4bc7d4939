"""Reads Twilio's message list for one tenant, page by page, with a backoff after a failure.

A failure is logged once and raised. The caller retries: a reconciliation stays due until it is complete.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from app import clock, telemetry
from app.errors import HeliographError
from app.provider.message_list import MessageList, MessagePage, PageUnavailable, Query

log = telemetry.logger(__name__)
# A million texts; no query of ours meets so many.
MOST_PAGES = 1000
FIRST_BACKOFF_S, LAST_BACKOFF_S = 10.0, 300.0


class ListUnavailableError(HeliographError):
    """Twilio returned no page, or a list without end; the result is incomplete."""


class Pager:
    """Pages of one tenant. `line`: the concurrency limit, shared with its create calls."""

    def __init__(
        self,
        tenant: str,
        catalogue: MessageList,
        line: AbstractAsyncContextManager[Any],
        backoff_s: float = FIRST_BACKOFF_S,
    ) -> None:
        self._tenant, self._catalogue, self._line = tenant, catalogue, line
        self._first_s, self._backoff_s, self._not_before_s = backoff_s, backoff_s, 0.0
        self.asked = 0

    @property
    def open(self) -> bool:
        """True unless a backoff is running."""
        return clock.boot_s() >= self._not_before_s

    async def of(self, query: Query) -> AsyncIterator[MessagePage]:
        """Page after page. Raises ListUnavailableError, also where there is no end of them."""
        after = ""
        for _ in range(MOST_PAGES):
            page = await self._ask(query, after)
            yield page
            if not (after := page.after):
                return
        log.error("list.endless", tenant=self._tenant, pages=MOST_PAGES)
        raise ListUnavailableError

    async def _ask(self, query: Query, after: str) -> MessagePage:
        async with self._line:
            page = await self._catalogue.page(query, after)
        self.asked += 1
        if isinstance(page, PageUnavailable):
            self._not_before_s = clock.boot_s() + self._backoff_s
            self._backoff_s = min(LAST_BACKOFF_S, 2 * self._backoff_s)
            log.warning("list.failed", tenant=self._tenant, why=page.why, status=page.http_status)
            raise ListUnavailableError
        self._backoff_s = self._first_s
        return page
