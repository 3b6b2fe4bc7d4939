"""Planted faults that single kinds of faults must bring to light."""

from typing import Any


def texts_counted_again() -> None:
    """A STOP or START that is delivered again counts with the time of that delivery."""
    from app.domain import consent_texts

    consent_texts._merged = lambda known, again: again


def former_seal_keys_forgotten() -> None:
    """What another key than the first sealed cannot be opened."""
    from app.records.seal import Sealer

    inner = Sealer.__init__

    def first_alone(self: Any, keys: Any) -> None:
        inner(self, dict([next(iter(keys.items()))]))

    Sealer.__init__ = first_alone  # type: ignore[method-assign]


def recreated_topics_taken() -> None:
    """A topic with another id than before is read on."""
    from app.streams.engine import takeover

    takeover.refusal = lambda source: ""  # type: ignore[attr-defined]
