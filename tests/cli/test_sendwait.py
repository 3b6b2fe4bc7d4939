"""Which outcome is whose: lines of a file, their recipients, and what came of each."""

import json
import re

from app.cli.send.answer_matching import AnswerMatcher, AwaitedMessage, awaited
from app.cli.send.file import FileLine, asked
from app.cli.send.wait import show

ONE, TWO = "+14155550141", "+14155550142"


def line(number: int, to: str | list[str], key: str, **given: str) -> FileLine:
    event = {"type": "notify.requested.v1", "id": f"r{number}", "to": to, "body": "Hi.", "idempotency_key": key}
    return FileLine(number, event | given)


def answer(message: AwaitedMessage, message_id: str, event: str = "opened", line: int = 0) -> dict:
    """To the request of one of the message's lines."""
    tenant, key, masked = message.identity
    asked = {"tenant": tenant, "idempotency_key": key, "masked": masked, "request_id": f"r{line or message.lines[0]}"}
    return {"event": event, "message_id": message_id, **asked}


def outcome(message: str, key: str, masked: str, word: str = "delivered") -> dict:
    return {
        "message_id": message,
        "tenant": "default",
        "idempotency_key": key,
        "recipient": {"masked": masked},
        "outcome": word,
        "reason": "reported",
    }


def test_each_recipient_is_a_message_and_the_same_number_twice_is_one() -> None:
    messages = awaited(asked([line(2, [ONE, ONE, TWO], "a"), line(3, TWO, "a"), line(4, TWO, "b")]))
    assert [message.lines for message in messages] == [[2], [2, 3], [4]]


def test_rows_that_share_a_key_get_the_outcomes_of_their_own_numbers() -> None:
    messages = awaited(asked([line(2, "+12125550101", "k"), line(3, "+13105550102", "k")]))
    matching = AnswerMatcher(messages)
    for message in reversed(messages):
        masked = message.identity[2]
        assert not matching.answer(answer(message, masked))
        assert matching.take(outcome(masked, "k", masked))
    assert [m.outcome and m.outcome["message_id"] for m in messages] == [m.identity[2] for m in messages]


def test_two_numbers_of_one_mask_get_an_answer_each_and_a_revision_replaces_its_own() -> None:
    messages = awaited(asked([line(2, [ONE, TWO], "k")]))
    masks, matching = [message.identity[2] for message in messages], AnswerMatcher(messages)
    assert [matching.answer(answer(message, f"m{n}")) for n, message in enumerate(messages)] == [False, False]
    assert [matching.take(outcome(f"m{n}", "k", mask)) for n, mask in enumerate(masks)] == [True, True]
    assert matching.left == 0 and not matching.take(outcome("m0", "k", masks[0], "failed"))
    assert sorted(m.outcome["outcome"] for m in messages if m.outcome) == ["delivered", "failed"]
    assert not matching.take(outcome("m9", "k", masks[0]))


def test_an_outcome_that_was_there_before_counts_once_the_request_is_answered_as_its_repeat() -> None:
    [message] = awaited(asked([line(2, ONE, "k")]))
    matching = AnswerMatcher([message])
    assert not matching.take(outcome("m1", "k", message.identity[2])) and message.outcome is None
    assert not matching.answer(answer(message, "m1", "progressed"))
    assert not matching.answer({**answer(message, "m1"), "request_id": "of somebody else"})
    assert matching.answer(answer(message, "m1", "repeated")) and not message.failed


def test_an_outcome_whose_key_could_not_be_opened_is_known_by_its_message() -> None:
    [message] = awaited(asked([line(2, ONE, "k")]))
    matching = AnswerMatcher([message])
    assert not matching.take(outcome("m2", "", message.identity[2]))
    assert not matching.take(outcome("m1", "", message.identity[2]))
    assert matching.answer(answer(message, "m1")) and not message.failed


def test_another_payload_is_a_conflict_whatever_became_of_the_message_before(capsys) -> None:
    [message] = awaited(asked([line(2, ONE, "k")]))
    matching = AnswerMatcher([message])
    matching.take(outcome("m1", "k", message.identity[2]))
    assert matching.answer(answer(message, "m1", "conflicted")) and matching.left == 0
    assert not matching.take(outcome("m1", "k", message.identity[2])) and message.failed
    show([message], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["rule"], told["message_id"]) == (
        "conflict",
        "was used before for another payload",
        "m1",
    )


def test_two_payloads_under_one_key_in_one_file_are_a_message_and_a_conflict() -> None:
    first, second = awaited(asked([line(2, ONE, "k"), line(3, ONE, "k", body="Other.")]))
    matching = AnswerMatcher([first, second])
    assert matching.answer(answer(second, "m1", "conflicted"))
    assert not matching.answer(answer(first, "m1"))
    assert matching.take(outcome("m1", "k", first.identity[2]))
    assert (first.failed, second.failed, matching.left) == (False, True, 0)


def test_a_line_without_an_outcome_is_shown_and_ids_are_whole(capsys) -> None:
    messages = awaited(asked([line(2, ONE, "a"), line(3, TWO, "b")]))
    told = outcome("0123456789abcdef0123-0123456789abcdef0123", "a", messages[0].identity[2])
    matching = AnswerMatcher(messages)
    matching.answer(answer(messages[0], told["message_id"]))
    matching.take(told)
    show(messages, as_json=False)
    said = capsys.readouterr().out
    assert "0123456789abcdef0123-0123456789abcdef0123" in said and "none yet" in said


def test_a_line_that_broke_a_rule_is_shown_with_the_rule(capsys) -> None:
    messages = awaited(asked([line(2, "+1415", "a"), line(3, TWO, "b")]))
    matching = AnswerMatcher(messages)
    broken = {"reason": "invalid_request", "field": "to", "rule": "is not a possible phone number"}
    for number, message in enumerate(messages, 1):
        matching.answer(answer(message, f"m{number}"))
    matching.take({**outcome("m1", "a", messages[0].identity[2], "rejected"), **broken})
    matching.take(outcome("m2", "b", messages[1].identity[2]))
    show(messages, as_json=False)
    said = " ".join(re.sub("[│┃]", " ", capsys.readouterr().out).split())
    assert "invalid_request, to is not a possible phone number" in said and "reported m2" in said


def test_a_message_is_shown_with_the_warnings_of_its_own_media(capsys) -> None:
    picture = FileLine(3, {**line(3, TWO, "b").event, "media": ["https://a.test/1.pdf"]})
    show(awaited(asked([line(2, ONE, "a"), picture])), as_json=True)
    plain, warned = map(json.loads, capsys.readouterr().out.splitlines())
    assert "warnings" not in plain
    assert (warned["line"], warned["warnings"]) == (3, ["media[0]: is pdf: Twilio takes at most 500 kB of it"])
