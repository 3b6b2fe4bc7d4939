"""What the proxies see on the way to Twilio and from it, put in the diary."""

from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urldefrag, urlsplit

import orjson

from ops.chaos.diary import Diary
from ops.chaos.tap import Exchange, HttpTap

# Webhooks of each sort that are remembered.
KEPT = 200


class Calls:
    """Create calls of each worker: `called` when the request is whole, `answered` when its answer was passed on."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    def tap(self, worker: str) -> HttpTap:
        """For one connection."""

        def asked(exchange: Exchange) -> None:
            if exchange.method == "POST":
                self._diary.note("called", worker=worker, **_attempt(exchange))

        def answered(exchange: Exchange) -> None:
            if exchange.method == "POST":
                sid = orjson.loads(exchange.answer).get("sid", "") if exchange.status == 201 else ""
                self._diary.note("answered", worker=worker, status=exchange.status, sid=sid, **_attempt(exchange))

        return HttpTap(asked, answered)


def _attempt(exchange: Exchange) -> dict[str, Any]:
    form = parse_qs(exchange.body.decode("utf-8", "replace"))
    return attempt_of(form.get("StatusCallback", [""])[0])


def attempt_of(callback: str) -> dict[str, Any]:
    """Message id and attempt number in a StatusCallback."""
    query = parse_qs(urlsplit(urldefrag(callback)[0]).query)
    return {"message_id": query.get("m", [""])[0], "attempt": int(query.get("a", ["0"])[0])}


class Webhooks:
    """Webhooks that were answered 2xx, as they were on the wire: the last of people's texts and of reports."""

    def __init__(self) -> None:
        self.texts: deque[Exchange] = deque(maxlen=KEPT)
        self.reports: deque[Exchange] = deque(maxlen=KEPT)

    def keep(self, exchange: Exchange) -> None:
        """One more."""
        (self.reports if exchange.target.partition("?")[0].endswith("/status") else self.texts).append(exchange)


def door_tap(diary: Diary, kept: Webhooks) -> Callable[[], HttpTap]:
    """Webhooks answered 2xx by the ingress, whoever posted them: `webhook`. They are `kept`."""

    def answered(exchange: Exchange) -> None:
        if not exchange.target.startswith("/twilio/") or not 200 <= exchange.status < 300:
            return
        kept.keep(exchange)
        form = parse_qs(exchange.body.decode("utf-8", "replace"))
        diary.note(
            "webhook",
            path=urlsplit(exchange.target).path,
            sid=form.get("MessageSid", [""])[0],
            status=form.get("MessageStatus", [""])[0],
            **attempt_of(exchange.target),
        )

    return lambda: HttpTap(lambda _: None, answered)
