"""A contact of whom too much is asked, in every way: each input has its outcome or dead letter, and others go on.

FULL_ROWS=1840,57000 asks for so many alerts and cancels (minutes, not seconds).
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from app import clock
from app.dev.dev_cluster import DevCluster
from app.dev.process_env import simulated
from app.domain.model.contact import Contact
from app.domain.model.inputs import CheckpointWritten
from app.domain.model.row_limits import MOST_CANCELS_AHEAD, ROW_BYTES, row_bytes
from tests.broker.test_pipeline import command, outcome, post
from tests.support.cluster import LANE, TENANT, by_file, event, produce, read, records, standing
from tests.support.contact_log import contact_of, fingerprint, write
from tests.support.engine_lab import until
from tests.support.given import KEY as FIRST
from tests.support.given import given, requested

# People of tenant default, each asked too much of in a way of its own.
ALERTED, TOO_LONG, REJECTED, DESCRIBED, CANCELED, LINKED = (f"+121255501{n}" for n in range(50, 56))
# By default enough to see that the row does not grow with them.
ALERTS, CANCELS = map(int, os.environ.get("FULL_ROWS", "200,3000").split(","))
WITHIN_S = 60 + CANCELS / 200
LONG_URL = ["https://example.com/".ljust(850_000, "a")]


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Two tenants; rows are put on the log again after 6 s. All is asked, and all outcomes are there."""
    path = tmp_path_factory.mktemp("rows")
    made = by_file(path, extra={"HELIOGRAPH_CHECKPOINT_AFTER_S": "6"})
    file, addresses = path / "tenants.toml", simulated(made["ports"]["ingress"], made["ports"]["simulator"])
    default, other = file.read_text(), (TENANT + LANE).format(**addresses).replace("tenants.default", "tenants.other")
    file.write_text(default.replace("/twilio/", "/twilio/default/") + other.replace("/twilio/", "/twilio/other/"))
    with standing(kafka, path, simulator=["--mix", '{"delivered": 1.0}'], **made) as standing_:
        seed(standing_, TOO_LONG, ROW_BYTES + 24_000)
        for n in range(0, ALERTS, 100):
            alerts = [event(0, to=ALERTED, idempotency_key=f"alert-{m}") for m in range(n, min(n + 100, ALERTS))]
            produce(standing_, *alerts)
            until(partial(has_outcomes, standing_, n + len(alerts)), 60)
        produce(standing_, *asked(contact_of(standing_, CANCELED)))
        until(partial(has_outcomes, standing_, ALERTS + 1 + 3_400 + 120 + 1 + 1 + 3), WITHIN_S)
        yield standing_


def asked(canceled: str) -> list[dict[str, Any]]:
    def metadata(count: int) -> dict[str, str]:
        return {f"k{n:02d}": "x" * 480 for n in range(count)}

    return [
        event(0, to=TOO_LONG, idempotency_key="seeded"),
        *(event(0, to=REJECTED, body="", idempotency_key=f"rejected-{n}") for n in range(3_400)),
        *(event(0, to=DESCRIBED, metadata=metadata(33), idempotency_key=f"described-{n}") for n in range(120)),
        event(0, to=DESCRIBED, metadata=metadata(48), idempotency_key="over"),
        event(0, to=LINKED, media=LONG_URL, idempotency_key="linked"),
        *({"type": "notify.canceled.v1", "message_id": f"{canceled}-{n:020x}"} for n in range(CANCELS)),
        *(event(n, tenant="other", to=f"+1212555{n:04d}", idempotency_key=f"other-{n}") for n in range(160, 163)),
    ]


def outcomes(stand: DevCluster) -> Counter[str]:
    return Counter(o["id"] for o in read(stand, "notify.outcomes"))


def has_outcomes(stand: DevCluster, count: int) -> bool:
    return len(outcomes(stand)) == count


def seed(stand: DevCluster, number: str, size: int) -> None:
    """Write a checkpoint whose row has `size` bytes."""
    contact, now = contact_of(stand, number), clock.now_ms()
    base = given(requested()).contact
    assert base is not None
    one = replace(base.messages[FIRST], id=f"{contact}-{FIRST}", tenant="default")
    row = Contact(
        tenant="default", watermark=10_000, touched_ms=now, messages={FIRST: replace(one, sealed_caller_fields=" ")}
    )
    row = replace(row, messages={FIRST: replace(one, sealed_caller_fields="x" * (size - row_bytes(row) + 1))})
    assert row_bytes(row) == size
    write(stand, contact, CheckpointWritten(id="seed", tenant="default", pk=fingerprint(stand), at=now, row=row))


def letters(stand: DevCluster, words: str) -> list[str]:
    found = [letter["rule"] for letter in read(stand, "notify.deadletters") if words in letter.get("rule", "")]
    return sorted(found)


def test_p1_each_request_has_its_outcome_once_however_full_the_row_is(stand: DevCluster) -> None:
    assert set(outcomes(stand).values()) == {1}
    told = Counter(
        (o["idempotency_key"].partition("-")[0], o["outcome"], o["reason"]) for o in read(stand, "notify.outcomes")
    )
    described = [told.pop(("described", *end), 0) for end in (("delivered", "reported"), ("rejected", "too_many_open"))]
    assert sum(described) == 120 and described[0] >= 10
    assert told == {
        ("alert", "delivered", "reported"): ALERTS,
        ("seeded", "delivered", "reported"): 1,
        ("rejected", "rejected", "invalid_request"): 3_400,
        ("over", "rejected", "invalid_request"): 1,
        ("linked", "rejected", "invalid_request"): 1,
        ("other", "delivered", "reported"): 3,
    }


def test_no_row_has_grown_with_what_was_asked_of_its_contact(stand: DevCluster) -> None:
    """But for the cancels of messages that were never asked for, which hold for a day."""
    rows = {r.key().decode(): r.value() for r in records(stand, "heliograph-contacts-changelog") if r.value()}
    alerted, described, canceled = (len(rows[contact_of(stand, n)]) for n in (ALERTED, DESCRIBED, CANCELED))
    assert alerted < 6_000 and described < 10_000 and canceled < 50 * MOST_CANCELS_AHEAD
    assert len(rows[contact_of(stand, REJECTED)]) < 200


def test_what_no_row_takes_is_a_dead_letter_once(stand: DevCluster) -> None:
    assert len(letters(stand, "is empty")) == 3_400
    until(lambda: len(letters(stand, "cancels of such are kept")) == CANCELS - MOST_CANCELS_AHEAD, WITHIN_S)
    kept = [u for u in read(stand, "notify.updates") if u.get("event") == "cancel_kept"]
    assert len(kept) == MOST_CANCELS_AHEAD
    until(lambda: len(letters(stand, "would make the contact's row longer than")) == 1)
    [rule] = letters(stand, "would make the contact's row longer than")
    assert rule.split()[-2] == str(ROW_BYTES)


def test_a_url_that_no_request_may_have_is_refused_over_http_too(stand: DevCluster) -> None:
    for _ in range(2):
        status, problem = post(stand, event(0, to=LINKED, media=LONG_URL, idempotency_key="posted"))
        assert (status, problem["field"], problem["rule"]) == (422, "media[0]", "is longer than 2048 characters")


def test_p6_the_longest_row_is_put_on_its_log_again_and_every_row_is_what_the_log_folds_to(stand: DevCluster) -> None:
    contact = contact_of(stand, CANCELED).encode()
    until(lambda: any(r.key() == contact and b"checkpoint@" in r.value()[:99] for r in records(stand, "contacts")))
    summary = json.loads(command(stand, "replay", "--verify", "--json").splitlines()[-1])["summary"]
    assert summary["different"] == 0 and summary["compared"]["contacts"] >= 7


def test_p7_another_tenants_text_is_sent_afterwards_by_the_worker_that_took_all_this(stand: DevCluster) -> None:
    produce(stand, event(1, tenant="other", to="+12125550164", idempotency_key="after"))
    assert outcome(stand, "after")["outcome"] == "delivered"
    assert stand.dead() == [] and '"process.ended"' not in stand.parts["worker-1"].log.read_text()
