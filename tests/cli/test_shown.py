"""What is shown of records: a webhook as it came, and how many of what."""

import pytest

from app.cli.commands.doubts import _line
from app.cli.commands.inbound import webhook
from app.cli.options.plural import plural
from app.records.webhooks import RawWebhook

JSON = '{"Body":"h\u00e9llo \u2713"}'


def came(body: bytes, *, form: bool) -> RawWebhook:
    return RawWebhook("inbound", "", body.decode("latin-1"), "signature", form=form)


def test_a_json_webhook_is_shown_in_the_letters_that_it_was_written_in() -> None:
    told = webhook(came(JSON.encode(), form=False))
    assert (told["body"], told["fields"]) == (JSON, [("Body", "h\u00e9llo \u2713")])


def test_a_form_is_shown_as_it_came() -> None:
    assert webhook(came(b"Body=h%C3%A9llo", form=True))["body"] == "Body=h%C3%A9llo"
    assert webhook(came(b"", form=True))["body"] == ""


@pytest.mark.parametrize(("count", "told"), [(0, "0 texts"), (1, "1 text"), (2, "2 texts")])
def test_one_is_told_as_one(count: int, told: str) -> None:
    assert plural(count, "text") == told


def test_a_plural_of_its_own_is_used() -> None:
    assert [plural(n, "line is", "lines are") for n in (1, 3)] == ["1 line is", "3 lines are"]


@pytest.mark.parametrize(("looks", "told"), [(1, ", 1 look at Twilio's list"), (2, ", 2 looks at Twilio's list")])
def test_looks_of_a_doubt_are_counted(looks: int, told: str) -> None:
    doubt = {"since": "2027-01-15T08:00:00Z", "tenant": "acme", "lane": "main", "message_id": "m", "attempt": 1}
    more = {"call": "no answer", "next_look": None, "sent_again_as": [], "sent_again_at": None, "outcome": None}
    assert _line({**doubt, **more, "looks": looks}).endswith(told)
