"""A story of one contact as the chaos checker reads it: topics, creates at Twilio, the harness's diary."""

from typing import Any

import orjson

from ops.chaos import checker
from ops.chaos.evidence import TOPICS, Evidence, Record

CONTACT, MESSAGE = "c1", "c1-m1"
CALLBACK = "http://127.0.0.1:1/twilio/status?m={}&a={}#rc=5"


class Story:
    """Topics as they grow: log times are 1000 ms apart, offsets follow."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {name: [] for name in TOPICS}
        self.creates: list[dict[str, Any]] = []
        self.diary: list[dict[str, Any]] = []

    def put(self, topic: str, key: str, **value: Any) -> "Story":
        records = self.topics[topic]
        raw = orjson.dumps(value)
        records.append(Record(0, len(records), 1000 * len(records), key, raw, orjson.loads(raw)))
        return self

    def log(self, kind: str, **value: Any) -> "Story":
        return self.put("contacts", CONTACT, type=f"contact.{kind}.v1", **value)

    def ask(self, message: str, key: str) -> "Story":
        """A request by this key is on the contact's log."""
        self.note("asking", key=key, recipients=[{"message_id": message}])
        return self.log("requested", message_id=message, policy={})

    def note(self, did: str, at: int = 0, **what: Any) -> "Story":
        self.diary.append({"did": did, "at": at, **what})
        return self

    def killed(self, at: int, part: str) -> "Story":
        return self.note("signaled", at, part=part, signal=9).note("died", at, part=part, code=-9)

    def turn(self, attempt: int = 1) -> "Story":
        return self.log("turn_granted", message_id=MESSAGE, attempt=attempt)

    def text(self, intent: str, at: int, sid: str = "SM0") -> "Story":
        return self.log("texted", intent=intent, at=at, sid=sid)

    def report(self, progress: int, attempt: int = 1, **more: Any) -> "Story":
        value = {"message_id": MESSAGE, "attempt": attempt, "sid": f"SM{attempt}", "status": "s", "at": 0, **more}
        return self.log("reported", progress=progress, **value)

    def create(self, attempt: int = 1) -> "Story":
        self.creates.append({"status_callback": CALLBACK.format(MESSAGE, attempt), "created_at": 0.0})
        return self

    def call(self, at: int, attempt: int = 1) -> "Story":
        return self.note("called", at, worker="worker-1", message_id=MESSAGE, attempt=attempt)

    def outcome(self, *attempts: int, revision: int = 1, word: str = "delivered") -> "Story":
        listed = [{"attempt": number} for number in attempts]
        made = {"id": f"{MESSAGE}:{revision}", "revision": revision, "message_id": MESSAGE, "attempts": listed}
        return self.put("outcomes", MESSAGE, idempotency_key="k1", outcome=word, **made)

    def row(self, watermark: int, *attempts: dict[str, Any]) -> "Story":
        numbered = [{"n": number, **attempt} for number, attempt in enumerate(attempts, 1)]
        messages = {"m1": {"id": MESSAGE, "attempts": numbered}}
        return self.put("contacts-changelog", CONTACT, watermark=watermark, messages=messages)

    def judged(self) -> dict[str, list[str]]:
        """By the rules that need no more than a story tells; the oracle is tried on recorded evidence."""
        return checker.judge(self.evidence(), checker.RULES)

    def evidence(self) -> Evidence:
        return Evidence(self.topics, self.creates, self.diary, claim_ttl_s=3.0)


def good() -> Story:
    """Asked, sent once, answered, delivered, told once."""
    story = Story().note("requested", key="k1")
    story.log("requested", message_id=MESSAGE, policy={}).turn().call(1500).create()
    story.note("answered", 1600, worker="worker-1", message_id=MESSAGE, attempt=1, sid="SM1", status=201)
    story.log("answered", message_id=MESSAGE, attempt=1, sid="SM1", answer="taken", at=1600).report(10)
    story.note("webhook", 3000, path="/twilio/status", message_id=MESSAGE, attempt=1, sid="SM1", status="s")
    return story.outcome(1).row(3, {"progress": 10, "sid": "SM1", "answer": "taken"})


def only(story: Story, name: str) -> list[str]:
    """What the story breaks, which must be `name` alone."""
    problems = story.judged()
    assert [rule for rule, found in problems.items() if found] == [name]
    return problems[name]
