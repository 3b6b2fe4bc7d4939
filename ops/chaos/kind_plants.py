"""Planted faults that single kinds of faults must bring to light."""


def texts_counted_again() -> None:
    """A STOP or START that is delivered again counts with the time of that delivery."""
    from app.domain.model import consent_texts

    consent_texts._merged = lambda known, again: again


def recreated_topics_taken() -> None:
    """A topic with another id than before is read on."""
    from app.streams.engine import takeover

    takeover.refusal = lambda source: ""  # type: ignore[attr-defined]
