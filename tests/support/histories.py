"""Histories: a contact's log as JSON lines, with what each input told the world and the row it left in the end.

    {"says": "what happened, as a sentence"}
    {"log_ms": 1800000001000, "input": {...}, "tells": ["opened: waiting (requested)", ...], "outcomes": [{...}]}
    {"rows": {"contacts": {...}, "messages <id>": {...}}}

To make one anew, or all after a change that is meant: write (or change) the lines with `says`, `log_ms` and `input`,
as `heliograph kafka console-consumer --topic contacts` shows them, then let the product fill in the rest, and read it:

    python -m tests.support.histories tests/histories/NAME.jsonl
    python -m tests.support.histories tests/histories/*.jsonl && git diff tests/histories
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, ContactFold
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output, UnreadableRecordError
from tests.support.given import opened

DIRECTORY = Path(__file__).parents[1] / "histories"
KEY_OF_TESTS = "11111111"
_encode = msgspec.json.encode


class Title(msgspec.Struct, forbid_unknown_fields=True):
    """The first line."""

    says: str


class Step(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One input, when it was logged, and what its fold told."""

    log_ms: int
    input: msgspec.Raw
    tells: list[str] = []
    outcomes: list[msgspec.Raw] = []


class Rows(msgspec.Struct, forbid_unknown_fields=True):
    """The last line."""

    rows: dict[str, msgspec.Raw] = {}


class History(msgspec.Struct):
    """A file."""

    says: str
    steps: list[Step]
    rows: dict[str, msgspec.Raw]

    @classmethod
    def read(cls, path: Path) -> "History":
        """Raises msgspec.ValidationError for a line of another form; the last line may be missing in a new one."""
        first, *rest = path.read_bytes().splitlines()
        last = rest.pop() if rest[-1].startswith(b'{"rows"') else b"{}"
        steps = [msgspec.json.decode(line, type=Step) for line in rest]
        return cls(msgspec.json.decode(first, type=Title).says, steps, msgspec.json.decode(last, type=Rows).rows)

    def write(self, path: Path) -> None:
        """As it is read."""
        lines = [_encode(Title(self.says)), *(_encode(step) for step in self.steps), _encode(Rows(self.rows))]
        path.write_bytes(b"\n".join(lines) + b"\n")


class Table:
    """Tables and outputs of a fold. `checkpointed`: rows are encoded and decoded again after every input."""

    def __init__(self, agent: ContactFold, *, checkpointed: bool) -> None:
        self._specs = {spec.name: spec for spec in agent.tables}
        self._rows: dict[tuple[str, bytes], Any] = {}
        self._checkpointed = checkpointed
        self.outputs: list[Output] = []

    def get(self, table: str, key: bytes) -> Any | None:
        return self._rows.get((table, key))

    def put(self, table: str, key: bytes, row: Any) -> None:
        spec = self._specs[table]
        self._rows[table, key] = spec.decode(spec.encode(row)) if self._checkpointed else row

    def drop(self, table: str, key: bytes) -> None:
        self._rows.pop((table, key), None)

    def emit(self, output: Output) -> None:
        self.outputs.append(output)

    def end_cycle(self) -> None:
        """Every input is a cycle of its own."""

    def encoded(self) -> dict[str, bytes]:
        """The contact's row under its table's name, messages under theirs and their id."""
        return {
            table if table == CONTACTS else f"{table} {key.decode()}": self._specs[table].encode(row)
            for (table, key), row in sorted(self._rows.items())
        }


class Replay:
    """A fold of a history from zero, by the agent that folds it in production. `times`: how often each input stands on
    the log; `redelivered`: Kafka hands each of them over twice."""

    def __init__(
        self, history: History, *, times: int = 1, redelivered: bool = False, checkpointed: bool = False
    ) -> None:
        self._agent = ContactFold(OutputBuilder(Topics("", ""), opened), _letter, KEY_OF_TESTS)
        self._table = Table(self._agent, checkpointed=checkpointed)
        self.steps: list[Step] = []
        for number, step in enumerate(history.steps):
            for time in range(times):
                record = _record(step, number * times + time)
                self.steps += [self._fold(record, step) for _ in range(2 if redelivered else 1)]

    def _fold(self, record: Input, step: Step) -> Step:
        self._table.outputs = []
        try:
            self._agent.fold(record, self._table)
        except UnreadableRecordError as bad:
            self._table.outputs = [_letter(record, bad.field, bad.rule)]
        told = self._table.outputs
        outcomes = [msgspec.Raw(o.value or b"") for o in told if o.topic == "notify.outcomes"]
        return Step(step.log_ms, step.input, [tell for o in told if (tell := _tell(o))], outcomes)

    @property
    def rows(self) -> dict[str, bytes]:
        """Every row at the end, encoded."""
        return self._table.encoded()

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """Every outcome, in order, without the place of the input that caused it."""
        told = [msgspec.json.decode(outcome) for step in self.steps for outcome in step.outcomes]
        return [{name: value for name, value in outcome.items() if name != "cause"} for outcome in told]


def _record(step: Step, offset: int) -> Input:
    key = msgspec.json.decode(step.input).get("message_id", "").partition("-")[0] or _CONTACT
    return Input("contacts", 0, offset, step.log_ms, key.encode(), bytes(step.input), [])


_CONTACT = "0123456789abcdef0123"  # whose log it is, where an input names no message


def _letter(record: Input, field: str, rule: str) -> Output:
    return Output("notify.deadletters", None, _encode({"field": field, "rule": rule}))


def _tell(output: Output) -> str:
    """An output in words; outcomes stand beside them in full."""
    told, word = msgspec.json.decode(output.value or b""), TELLING.get(output.topic)
    return word(told) if word else ""


def _of(told: dict[str, Any]) -> str:
    return f" of attempt {told['attempt']}" if told.get("attempt") else ""


TELLING: dict[str, Callable[[dict[str, Any]], str]] = {
    "notify.updates": lambda u: f"{u.get('event', 'number')}{_of(u)}: {u['state']} ({u['reason']})",
    "notify.inbound": lambda i: f"received: {i['intent']}",
    "notify.consent": lambda c: f"consent: {c['state']} by {c['source']}{'' if c['changed'] else ', as before'}",
    "notify.deadletters": lambda d: f"dead letter: {d['field']} {d['rule']}",
    "contacts": lambda c: f"written on its own log: {c['type'].split('.')[1]}",
    "lanes": lambda lane: f"lane: {lane['type'].split('.')[1]}{_of(lane)}{_taken(lane)}",
}


def _taken(lane: dict[str, Any]) -> str:
    return "" if "taken" not in lane else ", taken" if lane["taken"] else ", withdrawn"


def remake(paths: Iterable[Path]) -> None:
    """Fill in what the product does now."""
    for path in paths:
        history = History.read(path)
        replay = Replay(history)
        History(history.says, replay.steps, {name: msgspec.Raw(row) for name, row in replay.rows.items()}).write(path)


if __name__ == "__main__":
    remake(map(Path, sys.argv[1:]))
