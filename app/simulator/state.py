"""The simulator's memory: messages, opt-outs, counts; and the life of each text as timed callbacks."""

import asyncio
import random
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urldefrag

import msgspec

from app.simulator.config import Faults, SimulatorConfig
from app.simulator.person import Fate
from app.simulator.posting import Poster, PostFailed
from app.simulator.signing import sign

MAX_POSTS = 64


class Message(msgspec.Struct, kw_only=True):
    """One text as Twilio would keep it. `created_at`: unix seconds."""

    sid: str
    to: str
    from_: str
    service: str
    body: str
    media: list[str]
    status: str
    status_callback: str
    created_at: float
    index: int
    direction: str = "outbound-api"
    error_code: int | None = None


class State:
    """See the module."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config, self.faults = config, Faults()
        self.messages: dict[str, Message] = {}
        self.creates: list[Message] = []
        self.counts: Counter[str] = Counter()
        self.sent_to: Counter[str] = Counter()
        self.opted_out: set[tuple[str, str]] = set()
        self.rng = random.Random(config.seed)  # noqa: S311 - reproducible faults, no secret
        self._poster, self._room = Poster(), asyncio.Semaphore(MAX_POSTS)
        self._tasks: set[asyncio.Task[None]] = set()

    def new_sid(self, media: bool) -> str:
        """SM... or, with media, MM...: 32 hex digits."""
        return f"{'MM' if media else 'SM'}{self.rng.getrandbits(128):032x}"

    def chance(self, share: float) -> bool:
        """Whether a fault of this share strikes now."""
        return share > 0 and self.rng.random() < share

    def accept(self, message: Message) -> None:
        """A create was taken."""
        self.messages[message.sid] = message
        self.creates.append(message)
        self.counts["accepted"] += 1

    def live(self, message: Message, fate: Fate) -> None:
        """Let the text live its life in the background."""
        steps = list(fate.steps)
        if self.chance(self.faults.reorder):
            self.rng.shuffle(steps)
        task = asyncio.get_running_loop().create_task(self._life(message, steps, fate.code))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _life(self, message: Message, steps: list[str], code: int | None) -> None:
        for status in steps:
            await asyncio.sleep(self.config.step_ms / 1000 * (0.5 + self.rng.random()))
            await self.report(message, status, code if status in ("failed", "undelivered") else None)

    async def report(self, message: Message, status: str, code: int | None) -> None:
        """One status callback, with the faults of callbacks."""
        if message.status == "canceled":
            return
        message.status, message.error_code = status, code
        if not message.status_callback or self.chance(self.faults.lost):
            self.counts["callbacks_lost"] += 1
            return
        if self.chance(self.faults.late):
            await asyncio.sleep(1.0)
        for _ in range(2 if self.chance(self.faults.duplicate) else 1):
            await self.post(message.status_callback, self._fields(message, status, code))

    def _fields(self, message: Message, status: str, code: int | None) -> dict[str, str]:
        fields = {
            "SmsSid": message.sid,
            "SmsStatus": status,
            "MessageSid": message.sid,
            "MessageStatus": status,
            "To": message.to,
            "From": message.from_,
            "AccountSid": self.config.account_sid,
            "ApiVersion": "2010-04-01",
        }
        if message.service:
            fields["MessagingServiceSid"] = message.service
        if code is not None:
            fields["ErrorCode"] = str(code)
        if status in ("delivered", "undelivered"):
            fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime())
        return fields

    async def post(self, url: str, fields: dict[str, str]) -> tuple[int, bytes]:
        """A signed webhook, retried as the URL's fragment says (default: once, and only if no connection was made)."""
        base, fragment = urldefrag(url)
        overrides = parse_qs(fragment)
        retries = int(overrides.get("rc", ["1"])[0])
        policy = overrides.get("rp", ["ct"])[0]
        headers = {
            "X-Twilio-Signature": sign(self.config.auth_token, base, fields),
            "I-Twilio-Idempotency-Token": f"{self.rng.getrandbits(128):032x}",
            "User-Agent": "TwilioProxy/1.1",
        }
        answer, failed = (0, b""), ""
        for attempt in range(retries + 1):
            async with self._room:
                answer, failed = await self._try(base, fields, headers)
            self.counts[f"posts_{answer[0]}"] += 1
            if not failed or not (policy == "all" or failed in policy):
                break
            await asyncio.sleep(min(0.2 * 2**attempt, 3.0))
        return answer

    async def _try(self, url: str, fields: dict[str, str], headers: dict[str, str]) -> tuple[tuple[int, bytes], str]:
        try:
            answer = await self._poster.post(url, fields, headers)
        except PostFailed as error:
            return (0, b""), "rt" if error.connected else "ct"
        return answer, "" if answer[0] < 400 else ("4xx" if answer[0] < 500 else "5xx")

    def listed(self, query: Any) -> list[Message]:
        """Messages newest first, filtered by To, From and DateSent (a day)."""
        wanted = [m for m in reversed(self.messages.values()) if query.get("To", m.to) == m.to]
        wanted = [m for m in wanted if query.get("From", m.from_) == m.from_]
        since = query.get("DateSent>") or query.get("DateSent>=")
        if since:
            wanted = [m for m in wanted if time.strftime("%Y-%m-%d", time.gmtime(m.created_at)) >= since[:10]]
        return wanted
