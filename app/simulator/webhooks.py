"""Webhooks as Twilio sends them: signed, retried as the fragment of the URL says, a bounded number at a time.

Default (Twilio: connection overrides): connect 5 s, read 15 s, one retry, and only if no connection was made.
"""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, urldefrag

import msgspec

from app.simulator.posting import Answer, Poster, PostFailed
from app.simulator.signing import sign

AT_ONCE = 64
BACKOFF_S, LONGEST_S = 0.2, 3.0


class Overrides(NamedTuple):
    """`retries` after the first try, on failures in `policy` (4xx, 5xx, ct, rt, all); times in seconds."""

    retries: int
    policy: frozenset[str]
    connect_s: float
    read_s: float

    def again(self, failure: str, tries: int) -> bool:
        """Whether a failed post is tried once more."""
        return bool(failure) and tries <= self.retries and bool({failure, "all"} & self.policy)


@lru_cache(maxsize=256)
def overrides(fragment: str) -> Overrides:
    """`rc=5&rp=all&ct=1000&rt=2000` (times in ms); what is not a number within Twilio's range is the default."""
    given = dict(parse_qsl(fragment))

    def number(name: str, default: int, low: int, high: int) -> int:
        text = given.get(name, "")
        return int(text) if text.isdigit() and low <= int(text) <= high else default

    policy = frozenset(given.get("rp", "ct").split(","))
    connect, read = number("ct", 5000, 100, 10_000), number("rt", 15_000, 100, 15_000)
    return Overrides(number("rc", 1, 0, 5), policy, connect / 1000, read / 1000)


class Post(msgspec.Struct):
    """A webhook on its way; the token is the same for all tries of one event."""

    url: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    overrides: Overrides
    tries: int = 0


class Webhooks:
    """`counts`: posts by HTTP status (0: no answer). A post that waits for its retry holds up no other."""

    def __init__(self, token: str) -> None:
        self._token, self._poster = token, Poster()
        self._waiting: deque[Post] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    def send(self, url: str, fields: Mapping[str, str]) -> None:
        """Post in the background."""
        self._queue(self._post(url, fields))

    async def ask(self, url: str, fields: Mapping[str, str]) -> Answer:
        """Post, retries included, and return the last answer (status 0: none)."""
        post = self._post(url, fields)
        while True:
            answer, failure = await self._try(post)
            if not post.overrides.again(failure, post.tries):
                return answer
            await asyncio.sleep(_backoff(post))

    def forget(self) -> None:
        """Drop what is queued, and the counts."""
        self._waiting.clear()
        self.counts.clear()

    def close(self) -> None:
        """Drop what is queued or on its way."""
        self._waiting.clear()
        for worker in self._workers:
            worker.cancel()
        self._poster.close()

    def _post(self, url: str, fields: Mapping[str, str]) -> Post:
        base, fragment = urldefrag(url)
        headers = {
            "X-Twilio-Signature": sign(self._token, base, fields),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
            "User-Agent": "TwilioProxy/1.1",
        }
        return Post(base, fields, headers, overrides(fragment))

    def _queue(self, post: Post) -> None:
        self._waiting.append(post)
        if len(self._workers) < AT_ONCE:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._waiting:
            post = self._waiting.popleft()
            _, failure = await self._try(post)
            if post.overrides.again(failure, post.tries):
                asyncio.get_running_loop().call_later(_backoff(post), self._queue, post)

    async def _try(self, post: Post) -> tuple[Answer, str]:
        """The answer, and how it failed: "" if it did not."""
        post.tries += 1
        given = post.overrides
        try:
            answer = await self._poster.post(post.url, post.fields, post.headers, given.connect_s, given.read_s)
        except PostFailed as error:
            answer, failure = Answer(0), "rt" if error.connected else "ct"
        else:
            failure = "" if answer.status < 400 else "4xx" if answer.status < 500 else "5xx"
        self.counts[f"posts_{answer.status}"] += 1
        return answer, failure


def _backoff(post: Post) -> float:
    return min(BACKOFF_S * (1 << (post.tries - 1)), LONGEST_S)
