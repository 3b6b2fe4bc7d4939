"""Webhooks that Twilio sent before are sent again, byte for byte, through another ingress."""

from urllib.parse import urlsplit

import aiohttp

from ops.chaos.ground import READY_S, Ground
from ops.chaos.stand import SECOND_INGRESS
from ops.chaos.tap import Exchange, header
from ops.chaos.watching import hook_of

# Texts and reports of each fault; Twilio's own content type.
TEXTS, REPORTS = 60, 40
FORM = "application/x-www-form-urlencoded"


class WebhooksReplayed:
    """A second ingress joins, is sent webhooks that the first one answered, STOPs and STARTs among them, and leaves.

    Each keeps its signature, which is over the public URL and so holds at any ingress.
    """

    lasts_s = 1.0

    async def do(self, ground: Ground) -> None:
        """Join, and post them in another order than they came."""
        stand = ground.stand
        stand.add_second_ingress()
        if not await stand.ready(SECOND_INGRESS, READY_S):
            ground.problems.append(f"{SECOND_INGRESS} was not ready within {READY_S:g} s")
            return
        texts, reports = list(stand.webhooks.texts), list(stand.webhooks.reports)
        chosen = ground.rng.sample(texts, min(TEXTS, len(texts)))
        chosen += ground.rng.sample(reports, min(REPORTS, len(reports)))
        if not chosen:
            ground.miss(SECOND_INGRESS, "a webhook to send again")
        ground.rng.shuffle(chosen)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{stand.second_port}") as http:
            for exchange in chosen:
                await self._replay(ground, http, exchange)

    async def _replay(self, ground: Ground, http: aiohttp.ClientSession, exchange: Exchange) -> None:
        signature = header(exchange.head, "x-twilio-signature")
        headers = {"X-Twilio-Signature": signature, "Content-Type": FORM}
        async with http.post(exchange.target, data=exchange.body, headers=headers) as answer:
            status = answer.status
        path, first_ms = urlsplit(exchange.target).path, exchange.answered_ms
        ground.diary.note("replayed", path=path, first_ms=first_ms, answer=status, **hook_of(exchange))
        # 403: its token was rotated away.
        if not (200 <= status < 300 or status == 403):
            ground.problems.append(f"a webhook that was sent again was answered {status}")

    async def undo(self, ground: Ground) -> None:
        """Leave."""
        await ground.leave(SECOND_INGRESS)
