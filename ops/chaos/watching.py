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
                form = _form(exchange)
                content = {"to": form.get("To", [""])[0], "body": form.get("Body", [""])[0]}
                self._diary.note("called", worker=worker, **_attempt(form), **content)

        def answered(exchange: Exchange) -> None:
            if exchange.method == "POST":
                sid = orjson.loads(exchange.answer).get("sid", "") if exchange.status == 201 else ""
                told = {"worker": worker, "status": exchange.status, "sid": sid}
                self._diary.note("answered", **told, **_attempt(_form(exchange)))

        return HttpTap(asked, answered)


def _form(exchange: Exchange) -> dict[str, list[str]]:
    return parse_qs(exchange.body.decode("utf-8", "replace"))


def _attempt(form: dict[str, list[str]]) -> dict[str, Any]:
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
        (self.reports if is_report(exchange) else self.texts).append(exchange)


def is_report(exchange: Exchange) -> bool:
    """Whether it is a webhook with a status."""
    return exchange.target.startswith("/twilio/") and urlsplit(exchange.target).path.endswith("/status")


def door_tap(diary: Diary, kept: Webhooks) -> Callable[[], HttpTap]:
    """Webhooks on their way to the ingress, whoever posted them: `reporting` a status before it is there, and `webhook`
    when it was answered 2xx; these are `kept`."""

    def asked(exchange: Exchange) -> None:
        if is_report(exchange):
            diary.note("reporting", **hook_of(exchange))

    def answered(exchange: Exchange) -> None:
        if exchange.target.startswith("/twilio/") and 200 <= exchange.status < 300:
            kept.keep(exchange)
            diary.note("webhook", path=urlsplit(exchange.target).path, **hook_of(exchange))

    return lambda: HttpTap(asked, answered)


def hook_of(exchange: Exchange) -> dict[str, Any]:
    """What a webhook says: SID, status, error code, message and attempt."""
    form = _form(exchange)
    code = form.get("ErrorCode", ["0"])[0]
    told = {"sid": form.get("MessageSid", [""])[0], "status": form.get("MessageStatus", [""])[0]}
    return {**told, "code": int(code), **attempt_of(exchange.target)}
