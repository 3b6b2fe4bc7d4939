"""The life of each text: its statuses one after another, each called back, with the faults of callbacks."""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from app.simulator.line_types import LANDLINE
from app.simulator.recipient import OPTED_OUT, RecipientBehaviour, drawn, fate
from app.simulator.seeded_chance import roll
from app.simulator.state import SimulatorState
from app.simulator.text import StoredText, parts
from app.simulator.webhooks import WebhookSender

# Twilio: queue overflow of a service; the validity period is over; landline.
OVERFLOW, EXPIRED = 30001, 30036
NO_HANDSET = "undelivered:30006"


class MessageLife(msgspec.Struct):
    """`told`: the statuses in the order they are called back; `at`: how many steps were taken; `leaves`: when its
    sender sends it (unix seconds)."""

    text: StoredText
    steps: Sequence[str]
    told: Sequence[str]
    code: int | None
    at: int = 0
    leaves: float = 0.0


class MessageLifecycles:
    """`arrived` is told of each text that a person has received."""

    def __init__(self, state: SimulatorState, webhooks: WebhookSender, arrived: Callable[[StoredText], None]) -> None:
        self._state, self._webhooks, self._arrived = state, webhooks, arrived

    def begin(self, text: StoredText) -> MessageLife:
        """A life that has not moved yet; `go` lets it."""
        steps, code = self._fate(text)
        told = self._another_order(text, steps) if self._state.strikes.strikes("reorder", text.to) else steps
        return MessageLife(text, steps, told, code)

    def go(self, life: MessageLife) -> None:
        """Let it live, from SendAt on if it is scheduled."""
        if life.text.send_at:
            asyncio.get_running_loop().call_later(max(0.0, life.text.send_at - time.time()), self._due, life)
        else:
            self._enter(life)

    async def first(self, life: MessageLife) -> None:
        """The first callback, answered, before anything else happens."""
        fields = self._move(life) if life.steps else None
        if fields is not None:
            await self._webhooks.ask(life.text.status_callback, fields)

    def _due(self, life: MessageLife) -> None:
        """SendAt has come; whoever said STOP meanwhile is spared."""
        text = life.text
        if text.final:
            return
        text.status = "accepted"
        if self._state.blocked(text.service, text.sender, text.to):
            self._fail(life, OPTED_OUT)
        self._enter(life)

    def _enter(self, life: MessageLife) -> None:
        """The sender's queue, if it has a rate."""
        text, rate = life.text, self._state.config.rate_of(life.text.sender)
        if rate and "sending" in life.steps[life.at :]:
            now = time.time()
            if self._state.full(text.sender, now):
                self._fail(life, OVERFLOW)
            else:
                life.leaves = self._state.queues.enter(text.sender, parts(text), rate, now)
        self._later(life)

    def _later(self, life: MessageLife) -> None:
        """The next step, when its time has come."""
        if life.at == len(life.steps):
            return
        wait = self._pause(life)
        if life.steps[life.at] == "sending":
            text, now = life.text, time.time()
            wait = max(wait, life.leaves - now)
            until = (text.send_at or text.created_at) + text.validity_s
            if now + wait > until:
                self._fail(life, EXPIRED)
                wait = max(0.0, until - now)
        asyncio.get_running_loop().call_later(wait, self._step, life)

    def _fail(self, life: MessageLife, code: int) -> None:
        """It will not be sent: what is left of its life is its failure."""
        life.steps = life.told = (*life.steps[: life.at], "failed")
        life.code = code

    def _step(self, life: MessageLife) -> None:
        if life.text.final:
            return
        fields = self._move(life)
        if fields is not None:
            self._call_back(life.text, fields)
        self._later(life)

    def _move(self, life: MessageLife) -> dict[str, str] | None:
        """The next status; its callback's fields, None when nobody wants them."""
        text, status, told = life.text, life.steps[life.at], life.told[life.at]
        life.at += 1
        text.status, text.updated_at = status, time.time()
        text.final = life.at == len(life.steps)
        text.error_code = life.code if status in ("failed", "undelivered") else None
        if status in ("sent", "failed", "undelivered"):
            text.sent_at = text.sent_at or text.updated_at
        elif status == "delivered":
            self._arrived(text)
        return self._fields(life, told) if text.status_callback else None

    def _call_back(self, text: StoredText, fields: dict[str, str]) -> None:
        strikes, loop = self._state.strikes, asyncio.get_running_loop()
        if strikes.strikes("lost", text.to):
            return
        for _ in range(2 if strikes.strikes("duplicate", text.to) else 1):
            wait = strikes.delay("late", text.to)
            if wait is None:
                self._webhooks.send(text.status_callback, fields)
            else:
                loop.call_later(wait, self._webhooks.send, text.status_callback, fields)

    def _pause(self, life: MessageLife) -> float:
        """Seconds to the next step: half to one and a half of `step_ms`, the same in every run."""
        config, text = self._state.config, life.text
        return config.step_ms / 1000 * (0.5 + roll(config.seed, "pause", text.to, text.nth, life.at))

    def _fate(self, text: StoredText) -> RecipientBehaviour:
        state, config, service = self._state, self._state.config, bool(text.service)
        if state.blocked(text.service, text.sender, text.to):
            return RecipientBehaviour(("failed",), OPTED_OUT)
        if service and state.strikes.strikes("overflow", text.to):
            return RecipientBehaviour(("failed",), OVERFLOW)
        if state.strikes.strikes("filtered", text.to):
            return fate("undelivered:30007", 0.0, service=service)
        who, script = (config.seed, text.to, text.nth), state.strikes.scripts.get(text.to)
        end = config.ends.get(text.to) or (script.end_of(text.nth, media=bool(text.media)) if script else "")
        end = end or self._mixed(text)
        return fate(end, roll("code", *who), service=service)

    def _mixed(self, text: StoredText) -> str:
        """How a text to a number without a word of its own ends."""
        config = self._state.config
        if LANDLINE in config.lines and self._state.line_of(text.to) == LANDLINE:
            return NO_HANDSET
        return drawn(config.mix_of(text.to), roll("end", config.seed, text.to, text.nth))

    def _another_order(self, text: StoredText, steps: tuple[str, ...]) -> Sequence[str]:
        seed = self._state.config.seed
        order = tuple(sorted(steps, key=lambda status: roll(seed, "order", text.to, text.nth, status)))
        return order if order != steps else order[::-1]

    def _fields(self, life: MessageLife, status: str) -> dict[str, str]:
        text = life.text
        fields = {
            "SmsSid": text.sid,
            "SmsStatus": status,
            "MessageSid": text.sid,
            "MessageStatus": status,
            "To": text.to,
            "From": text.sender,
            "AccountSid": self._state.config.account_sid,
            "ApiVersion": "2010-04-01",
        }
        if text.service:
            fields["MessagingServiceSid"] = text.service
        if life.code is not None and status in ("failed", "undelivered"):
            fields["ErrorCode"] = str(life.code)
        if status in ("delivered", "undelivered"):
            fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime())
        return fields
