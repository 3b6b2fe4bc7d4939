"""The life of each text: its statuses one after another, each called back, with the faults of callbacks."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from app.simulator.chance import roll
from app.simulator.person import OPTED_OUT, Fate, drawn, fate
from app.simulator.state import State
from app.simulator.text import Text
from app.simulator.webhooks import Webhooks


class Life(msgspec.Struct):
    """`told`: the statuses in the order they are called back; `at`: how many steps were taken."""

    text: Text
    steps: Sequence[str]
    told: Sequence[str]
    code: int | None
    at: int = 0


class Lives:
    """See the module."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state, self._webhooks = state, webhooks

    def begin(self, text: Text) -> Life:
        """A life that has not moved yet; `go` lets it."""
        steps, code = self._fate(text)
        told = self._another_order(text, steps) if self._state.strikes.strikes("reorder", text.to) else steps
        return Life(text, steps, told, code)

    def go(self, life: Life) -> None:
        """Let it live, from SendAt on if it is scheduled."""
        wait = max(0.0, life.text.send_at - time.time()) if life.text.send_at else self._pause(life)
        asyncio.get_running_loop().call_later(wait, self._step, life)

    async def first(self, life: Life) -> None:
        """The first callback, answered, before anything else happens."""
        fields = self._move(life)
        if fields is not None:
            await self._webhooks.ask(life.text.status_callback, fields)

    def _step(self, life: Life) -> None:
        if life.text.final:
            return
        fields = self._move(life)
        if fields is not None:
            self._call_back(life.text, fields)
        if life.at < len(life.steps):
            asyncio.get_running_loop().call_later(self._pause(life), self._step, life)

    def _move(self, life: Life) -> dict[str, str] | None:
        """The next status; its callback's fields, None when nobody wants them."""
        text, status, told = life.text, life.steps[life.at], life.told[life.at]
        life.at += 1
        text.status, text.updated_at = status, time.time()
        text.final = life.at == len(life.steps)
        if text.final:
            text.error_code = life.code
        if status in ("sent", "failed", "undelivered"):
            text.sent_at = text.sent_at or text.updated_at
        return self._fields(life, told) if text.status_callback else None

    def _call_back(self, text: Text, fields: dict[str, str]) -> None:
        strikes, loop = self._state.strikes.strikes, asyncio.get_running_loop()
        if strikes("lost", text.to):
            return
        for _ in range(2 if strikes("duplicate", text.to) else 1):
            if strikes("late", text.to):
                wait = self._state.strikes.faults.late_ms / 1000
                loop.call_later(wait, self._webhooks.send, text.status_callback, fields)
            else:
                self._webhooks.send(text.status_callback, fields)

    def _pause(self, life: Life) -> float:
        """Seconds to the next step: half to one and a half of `step_ms`, the same in every run."""
        config, text = self._state.config, life.text
        return config.step_ms / 1000 * (0.5 + roll(config.seed, "pause", text.to, text.nth, life.at))

    def _fate(self, text: Text) -> Fate:
        config, strikes = self._state.config, self._state.strikes.strikes
        service = bool(text.service)
        if self._state.blocked(text.service or text.sender, text.to):
            return Fate(("failed",), OPTED_OUT)
        if service and strikes("overflow", text.to):
            return Fate(("failed",), 30001)
        if strikes("filtered", text.to):
            return fate("undelivered:30007", 0.0, service=service)
        who = (config.seed, text.to, text.nth)
        end = config.ends.get(text.to) or drawn(config.mix, roll("end", *who))
        return fate(end, roll("code", *who), service=service)

    def _another_order(self, text: Text, steps: tuple[str, ...]) -> Sequence[str]:
        seed = self._state.config.seed
        order = tuple(sorted(steps, key=lambda status: roll(seed, "order", text.to, text.nth, status)))
        return order if order != steps else order[::-1]

    def _fields(self, life: Life, status: str) -> dict[str, str]:
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
