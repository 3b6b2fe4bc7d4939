"""From what a person texted, however it came to us, to the input on their log: canonical address, intent, the seal."""

import msgspec

from app.domain.content.keywords import KEYWORD, OPT_OUT_TYPE, Classification
from app.domain.content.phone import read_address
from app.domain.model.identity import contact_id, key_fingerprint
from app.domain.model.inputs import TextArrived
from app.domain.model.vocabulary import Intent, Provenance
from app.records.seal import Content, Sealer

# Twilio answers single keywords; a phrase or a tenant's own word is ordinary text to it.
TWILIO_ANSWERS = {KEYWORD, OPT_OUT_TYPE}


class ArrivedText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that came in. `person`, `to`: addresses as Twilio gives them; `at_ms`: when it was received;
    `token`: of Twilio's event; `raw`: the webhook as it came, encoded."""

    sid: str
    person: str
    to: str
    body: str
    at_ms: int
    media: tuple[str, ...] = ()
    media_count: int = 0
    opt_out_type: str = ""
    service: str = ""
    provenance: Provenance = Provenance.CALLBACK
    token: str = ""
    raw: bytes = b""

    def __repr__(self) -> str:
        return "<Came>"


class InboundTextBuilder:
    """Writes the inputs of all tenants."""

    def __init__(self, sealer: Sealer, key: bytes) -> None:
        self._sealer, self._key, self._pk = sealer, key, key_fingerprint(key)

    def input(
        self, record_id: str, tenant: str, came: ArrivedText, reading: Classification, *, ours: bool
    ) -> tuple[str, TextArrived]:
        """Contact id and input. `ours`: we answer the keyword ourselves."""
        address, known = read_address(came.person), reading.intent is not Intent.NONE
        content = Content(address.canonical, came.body, came.media, came.to)
        return contact_id(self._key, tenant, address.canonical), TextArrived(
            id=record_id,
            tenant=tenant,
            pk=self._pk,
            at=came.at_ms,
            sid=came.sid,
            intent=reading.intent,
            sealed=self._sealer.seal_content(content, tenant, came.sid),
            masked=address.masked,
            keyword=reading.keyword if known else "",
            arguments_count=len(reading.arguments),
            opt_out_type=came.opt_out_type,
            sender=came.service,
            country=address.country,
            answered_by="heliograph" if ours else "twilio" if reading.rule in TWILIO_ANSWERS else "",
            media_count=came.media_count,
            provenance=came.provenance,
            token=came.token,
            raw=self._sealer.seal(came.raw, tenant, came.sid) if came.raw else "",
            rule=reading.rule,
        )
