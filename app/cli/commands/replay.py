"""`heliograph replay`: the contact log folded again, and the live rows proved by it."""

import asyncio
import heapq
import os
import re
import sys
from collections.abc import Iterator

import click

from app import clock
from app.cli.options.timestamps import moment
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.queries.log_key import log_fingerprint
from app.cli.queries.row_view import View, contact_view, lines, message_view
from app.config.settings import Settings
from app.kafka.client import client_settings
from app.kafka.cluster_check import require_topics
from app.kafka.partition_reader import PartitionReader
from app.kafka.topic_io import partition_of
from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.replay.job import PartitionReplay, ReplayJob, ReplaySelection

CONTACT_ID = re.compile(r"[0-9a-f]{20}\Z")
TELL_S = 2.0


@click.command("replay")
@click.option(
    "--verify", is_flag=True, help="Compare the live rows with the folded ones, byte for byte; exit 1 if not."
)
@click.option("--contact", "contact_id", help="One contact: its id, 20 hex digits.")
@click.option("--until", callback=moment, help="What was so then: RFC 3339 with offset, or 30s, 15m, 2h, 7d ago.")
@click.option(
    "--json", "as_json", is_flag=True, help="One row per line, a summary last; with --verify the summary alone."
)
def command(verify: bool, contact_id: str | None, until: int | None, as_json: bool) -> None:
    """Replay the contact log offline. Folds it again and shows the rows it leads to: no numbers, no texts.

    With --verify each live row (tables contacts and messages) is compared with the folded one at the same watermark, so
    it holds beside running workers too. Rows whose part of the log is deleted are counted as not provable.

    \b
    Examples:
      heliograph replay --verify
      heliograph replay --contact 7a031076e4d2147aa60c --until 2026-03-03T10:00:00Z
    """
    if verify and until is not None:
        raise click.UsageError("--verify compares with what is live now: it takes no --until")
    if contact_id is not None and not CONTACT_ID.match(contact_id):
        raise click.UsageError("--contact: must be 20 hex digits")
    settings, _ = settings_or_exit(dict(os.environ))
    contact = contact_id.encode() if contact_id else None
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_run(settings, contact, until, verify, as_json)))


async def _run(settings: Settings, contact: bytes | None, until: int | None, verify: bool, as_json: bool) -> int:
    client, topics = client_settings(settings), Topics(settings.topic_prefix, settings.group)
    changelogs = [topics.all[f"<app>-{table}-changelog"].name for table in (CONTACTS, MESSAGES)]
    await require_topics(client, [topics.contacts, *changelogs])
    wanted = ReplaySelection(
        topics=topics,
        group=settings.group,
        fingerprint=await log_fingerprint(settings, topics),
        contact=contact,
        until_ms=until,
        prove=verify,
    )
    async with PartitionReader(client) as logs:
        offline = ReplayJob(logs, wanted, _ReplayProgress())
        numbers = list(await logs.partitions(topics.contacts))
        if contact is not None:
            numbers = [await partition_of(topics.contacts, contact, client)]
        summary = _ReplaySummary(verify)
        async for done in offline.run(numbers):
            shown = 0 if verify else _show(done, as_json)
            summary.add(done, shown, until)
    summary.show(as_json)
    return summary.code(must_be_there=contact is not None and until is None)


class _ReplayProgress:
    """How far it is, on stderr, every `TELL_S`."""

    def __init__(self) -> None:
        self._said_s = clock.boot_s()

    def __call__(self, where: str, read: int, of: int) -> None:
        if clock.boot_s() - self._said_s >= TELL_S:
            self._said_s = clock.boot_s()
            say(f"{where}: read {read} of {of}", err=True)


def _show(done: PartitionReplay, as_json: bool) -> int:
    """Each contact, the messages that have rows of their own below it. Returns how many contacts."""
    shown = 0
    for view in _views(done):
        shown += view["table"] == CONTACTS
        if as_json:
            say_json(view)
            continue
        for line in lines(view):
            say(line)
    return shown


def _views(done: PartitionReplay) -> Iterator[View]:
    active: set[str] = set()
    for key, row in heapq.merge(done.rows[CONTACTS].items(), done.rows[MESSAGES].items()):
        if b"-" not in key:
            view = contact_view(key.decode("latin-1"), done.partition, row)
            active = {message["message_id"] for message in view["messages"]}
            yield view
        elif key.decode("latin-1") not in active:  # else it is the row from before the message came back
            yield message_view(done.partition, row)


class _ReplaySummary:
    """What all partitions came to."""

    def __init__(self, verify: bool) -> None:
        self._verify = verify
        self._inputs = self._shown = self._different = 0
        self._compared = {CONTACTS: 0, MESSAGES: 0}
        self._not_provable = {CONTACTS: 0, MESSAGES: 0}
        self._told: list[View] = []
        self._cut: list[str] = []

    def add(self, done: PartitionReplay, shown: int, until: int | None) -> None:
        """Count the result of one partition."""
        self._inputs, self._shown = self._inputs + done.inputs, self._shown + shown
        self._different += done.different
        for sums, more in ((self._compared, done.compared), (self._not_provable, done.not_provable)):
            for table, count in more.items():
                sums[table] += count
        self._told += [{name: getattr(found, name) for name in found.__struct_fields__} for found in done.told]
        if done.cut:
            begins = "is empty" if done.begins_ms is None else f"begins {clock.iso(done.begins_ms)}"
            early = until is not None and until < (done.begins_ms or until + 1)
            said = ": what was so before is on notify.consent alone" if early else ""
            self._cut.append(f"partition {done.partition} {begins}{said}")

    def code(self, *, must_be_there: bool) -> int:
        """0; 1 for a difference, or for nothing where something must be."""
        return PROBLEMS if self._different or (must_be_there and not self._inputs) else OK

    def show(self, as_json: bool) -> None:
        """The summary: the last line with --json, on stderr beside rows."""
        if as_json:
            say_json({"summary": self._values()})
            return
        for found in self._told:
            say(_difference(found))
        for words in self._cut:
            say(f"older inputs are deleted: {words}", err=True)
        say(self._words(), err=not self._verify)

    def _values(self) -> View:
        values: View = {"inputs": self._inputs, "contacts": self._shown, "begins": self._cut}
        if self._verify:
            del values["contacts"]
            proved = {"compared": self._compared, "not_provable": self._not_provable}
            values |= {**proved, "different": self._different, "differences": self._told}
        return values

    def _words(self) -> str:
        if not self._verify:
            return f"{self._inputs} inputs folded, {self._shown} contacts"
        compared, without = self._compared, self._not_provable
        return (
            f"{self._inputs} inputs folded; compared {compared[CONTACTS]} contacts and {compared[MESSAGES]} messages: "
            f"{self._different} different; not provable (their part of the log is deleted): "
            f"{without[CONTACTS]} contacts and {without[MESSAGES]} messages"
        )


def _difference(found: View) -> str:
    kind = "contact" if found["table"] == CONTACTS else "message"
    return f"{kind} {found['key']}: {found['field']}: folded {found['folded']}, live {found['live']}"
