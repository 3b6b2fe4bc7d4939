"""Rows as their changelogs have them."""

from typing import Any

from ops.chaos.evidence import Evidence


def rows_of(seen: Evidence) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Rows of table contacts as the changelog has them last, and the highest watermark each ever had."""
    last: dict[str, dict[str, Any]] = {}
    highest: dict[str, int] = {}
    for record in seen.topics["contacts-changelog"]:
        last[record.key] = record.value or {}
        highest[record.key] = max(highest.get(record.key, -1), (record.value or {}).get("watermark", -1))
    return last, highest


def messages_of(seen: Evidence) -> dict[str, dict[str, Any]]:
    """Every message as its row says: in its contact's, else in table messages."""
    found = {record.key: record.value or {} for record in seen.topics["messages-changelog"]}
    for row in rows_of(seen)[0].values():
        found |= {message["id"]: message for message in row.get("messages", {}).values()}
    return found


def attempts_of(messages: dict[str, dict[str, Any]], message: str) -> dict[int, dict[str, Any]]:
    """The attempts that a message's row keeps, by their number; `messages`: see `messages_of`."""
    return {attempt["n"]: attempt for attempt in messages.get(message, {}).get("attempts", [])}
