"""Webhooks as Twilio sends them: signed, retried as the fragment of the URL says, a bounded number at a time.

Default (Twilio: connection overrides): connect 5 s, read 15 s, 15 s in all, one retry, and only if no connection was
made.
"""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus

import msgspec
import orjson

from app.simulator.config import SimulatorConfig
from app.simulator.signature import sign, with_digest
from app.simulator.webhook_client import PostError, WebhookClient, WebhookResponse

AT_ONCE = 64
BACKOFF_S, LONGEST_S = 0.2, 3.0
# What waits for a webhook that is slower than the texts; the oldest is dropped when more do (some 200 MB).
MOST_WAITING, REMEMBERED = 200_000, 1000
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


class WebhookOverrides(NamedTuple):
    """`retries` after the first try, on failures in `policy` (4xx, 5xx, ct, rt, all); times in seconds."""

    retries: int
    policy: frozenset[str]
    connect_s: float
    read_s: float
    total_s: float

    def again(self, failure: str, tries: int) -> bool:
        """Whether a failed post is tried once more."""
        return bool(failure) and tries <= self.retries and bool({failure, "all"} & self.policy)


@lru_cache(maxsize=256)
def overrides(fragment: str) -> WebhookOverrides:
    """`rc=5&rp=all&ct=1000&rt=2000&tt=9000` (times in ms); what is no number within Twilio's range is the default."""
    given = dict(parse_qsl(fragment))

    def number(name: str, default: int, low: int, high: int) -> int:
        text = given.get(name, "")
        return int(text) if text.isdecimal() and low <= int(text[:9]) <= high else default

    policy = frozenset(given.get("rp", "ct").split(","))
    connect, read = number("ct", 5000, 100, 10_000), number("rt", 15_000, 100, 15_000)
    total = number("tt", 15_000, 100, 15_000)
    return WebhookOverrides(number("rc", 1, 0, 5), policy, connect / 1000, read / 1000, total / 1000)


def encoded(fields: Mapping[str, str]) -> bytes:
    """As urllib's urlencode, at half of its cost; names are Twilio's and need no quoting."""
    pairs = [
        f"{name}={value if value.isalnum() and value.isascii() else quote_plus(value, errors='surrogatepass')}"
        for name, value in fields.items()
    ]
    return "&".join(pairs).encode()


class ScheduledWebhook(msgspec.Struct):
    """A webhook on its way; its headers, the token among them, are the same for all tries of one event. `until`: when
    it is given up (0: not tried yet)."""

    url: str
    fields: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]
    overrides: WebhookOverrides
    tries: int = 0
    until: float = 0.0


class WebhookSender:
    """`counts`: posts by HTTP status (0: no answer). A post that waits for its retry holds up no other.
    `posted`: the last tries, as GET /_sim/webhooks tells them."""

    def __init__(self, config: Callable[[], SimulatorConfig]) -> None:
        self._config, self._poster = config, WebhookClient()
        self._waiting: deque[ScheduledWebhook] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.posted: deque[tuple[ScheduledWebhook, int, int]] = deque(maxlen=REMEMBERED)

    def send(self, url: str, fields: Mapping[str, str]) -> None:
        """Post in the background."""
        self._queue(self._post(url, fields))

    async def ask(self, url: str, fields: Mapping[str, str]) -> WebhookResponse:
        """Post, retries included, and return the last answer (status 0: none)."""
        post = self._post(url, fields)
        while True:
            answer, failure = await self._try(post)
            if not _again(post, failure):
                return answer
            await asyncio.sleep(_backoff(post))

    def told(self) -> list[dict[str, Any]]:
        """The last tries, the oldest first."""
        return [
            {"url": post.url, "fields": post.fields, "headers": post.headers, "try": tries, "status": status}
            for post, tries, status in self.posted
        ]

    def forget(self) -> None:
        """Drop what is queued, the counts and the last tries."""
        self._waiting.clear()
        self.counts.clear()
        self.posted.clear()

    def close(self) -> None:
        """Drop what is queued or on its way."""
        self._waiting.clear()
        for worker in self._workers:
            worker.cancel()
        self._poster.close()

    def _post(self, url: str, fields: Mapping[str, str]) -> ScheduledWebhook:
        config, (base, _, fragment) = self._config(), url.partition("#")
        form = config.webhooks == "form"
        body = encoded(fields) if form else orjson.dumps(fields)
        target = base if form else with_digest(base, body)
        digest = "sha256" if config.shared_key else "sha1"
        secret = config.shared_secret if config.shared_key else config.auth_token
        headers = {
            "Content-Type": FORM if form else "application/json",
            "X-Twilio-Signature": sign(secret, target, fields if form else {}, digest),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
            "User-Agent": "TwilioProxy/1.1",
        }
        if config.shared_key:
            headers["X-Twilio-Webhooks-Signature-Settings"] = f"key={config.shared_key},algorithm=HMAC_SHA256"
        return ScheduledWebhook(target, fields, body, headers, overrides(fragment))

    def _queue(self, post: ScheduledWebhook) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.counts["posts_dropped"] += 1
        self._waiting.append(post)
        if len(self._workers) < AT_ONCE:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._waiting:
            post = self._waiting.popleft()
            _, failure = await self._try(post)
            if _again(post, failure):
                asyncio.get_running_loop().call_later(_backoff(post), self._queue, post)

    async def _try(self, post: ScheduledWebhook) -> tuple[WebhookResponse, str]:
        """The answer, and how it failed: "" if it did not."""
        post.tries += 1
        given, now = post.overrides, time.monotonic()
        post.until = post.until or now + given.total_s
        left = max(0.0, post.until - now)
        try:
            connect, read = min(given.connect_s, left), min(given.read_s, left)
            answer = await self._poster.post(post.url, post.body, post.headers, connect, read)
        except PostError as error:
            answer, failure = WebhookResponse(0), "rt" if error.connected else "ct"
        else:
            failure = "" if answer.status < 400 else "4xx" if answer.status < 500 else "5xx"
        self.counts[f"posts_{answer.status}"] += 1
        self.posted.append((post, post.tries, answer.status))
        return answer, failure


def _again(post: ScheduledWebhook, failure: str) -> bool:
    """Whether its URL asks for one more try, and its time allows one."""
    return post.overrides.again(failure, post.tries) and time.monotonic() + _backoff(post) < post.until


def _backoff(post: ScheduledWebhook) -> float:
    return min(BACKOFF_S * (1 << (post.tries - 1)), LONGEST_S)
