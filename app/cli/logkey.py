"""Which pseudonym key the contact log was written under, for what folds it again."""

from app import kafka
from app.cli import PROBLEMS, give_up
from app.domain.identity import key_fingerprint
from app.records.fingerprint import foreign_fingerprint
from app.records.fit import foreign_problem
from app.records.topics import Topics
from app.settings import Settings


async def log_fingerprint(settings: Settings, topics: Topics) -> str:
    """Ours, which must be the log's; without the key the log's own, so that an auditor needs no secret.

    Exit 1 if most of the log is of another key.
    """
    ours = key_fingerprint(settings.pseudonym_key) if settings.pseudonym_key else ""
    found = await foreign_fingerprint(topics.contacts, ours, **kafka.client(settings))
    if ours and found:
        give_up(foreign_problem(topics.contacts, settings.pseudonym_key, found), code=PROBLEMS)
    return ours or found or ""
