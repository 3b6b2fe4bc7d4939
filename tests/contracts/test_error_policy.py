"""The table of error codes and the fold agree on what is tried again."""

import re
from typing import Any

import pytest

from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass, Stage
from app.provider.status_mapping import entries, error_class
from tests.support.given import START_MS, ContactLog, given, pictured, refused, report, taken, turn

OF_TEXTS = [entry for entry in entries() if entry["stage"] in ("C", "D", "C/D")]
WORDS = {"never", "delayed", "held", "once", "probed", "as text"}
HOLD_MS = START_MS + 600_000
DENIED = re.compile(r"\b(no|not|never)\b[^;:,]*\b(retry|resend)", re.IGNORECASE)
CLAIMED = re.compile(r"\b(retry|retries|resend|re-queue|hold until)\b")
by_code = {"ids": lambda entry: str(entry["code"])}


def ended(entry: dict[str, Any], stage: str) -> ContactLog:
    """A message whose attempt met the code: in the answer to the call (C), or in a report (D)."""
    error = error_class(entry["code"])
    if stage == "C":
        return given(pictured(), turn(), refused(error, code=entry["code"], hold_until_ms=HOLD_MS))
    stamped = {"hold_until_ms": HOLD_MS, "invalid_after": 5}
    return given(pictured(), turn(), taken(), report(DeliveryStatus.FAILED, code=entry["code"], error=error, **stamped))


def wait_ms(log: ContactLog) -> int:
    """Until the next attempt, from the input that told of the failure."""
    return log.message().due_ms - log.now_ms


@pytest.mark.parametrize("entry", OF_TEXTS, **by_code)
def test_what_the_table_says_is_tried_again_is_and_nothing_else(entry: dict[str, Any]) -> None:
    assert entry["retry"] in WORDS
    for stage in entry["stage"].split("/"):
        log = ended(entry, stage)
        message, retry = log.message(), entry["retry"]
        # An answer whose text may exist all the same is in doubt, whatever its code; no refusal is of that class.
        if stage == "C" and error_class(entry["code"]) is ErrorClass.AMBIGUOUS:
            assert retry == "never"
            continue
        assert (message.stage is Stage.RETRYING) is (retry != "never")
        assert message.attempts[-1].answer is (CreateResult.REFUSED if stage == "C" else CreateResult.TAKEN)
        waits = {"held": HOLD_MS - log.now_ms, "once": 1_800_000, "as text": 0}
        assert retry not in waits or wait_ms(log) == waits[retry]


@pytest.mark.parametrize("entry", OF_TEXTS, **by_code)
def test_the_action_in_words_claims_no_other_retry(entry: dict[str, Any]) -> None:
    action, retried = entry["action"], entry["retry"] != "never"
    assert not (DENIED.search(action) and retried)
    assert not (CLAIMED.search(action) and not DENIED.search(action) and not retried)


def test_30003_is_not_tried_again() -> None:
    assert {entry["code"]: entry["retry"] for entry in OF_TEXTS}[30003] == "never"
