"""A webhook as it came, kept in the seal beside what was read of it: the evidence of a report, a STOP, a text."""

import msgspec


class RawWebhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """`kind`: status, inbound or fallback; `query`, `body`: raw, the body as Latin-1; `signature` and `settings`: the
    two headers that verify it; `form`: whether the body is a form, else it is JSON."""

    kind: str
    query: str
    body: str
    signature: str
    settings: str = ""
    form: bool = True

    def __repr__(self) -> str:
        return "<RawWebhook>"
