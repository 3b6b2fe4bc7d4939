"""Which pseudonym key the contact log was written under, for what folds it again."""

from app.cli.process.exit_codes import PROBLEMS, give_up
from app.config.settings import Settings
from app.domain.model.identity import key_fingerprint
from app.kafka.client import client_settings
from app.kafka.cluster_check import foreign_problem
from app.kafka.fingerprint import foreign_fingerprint
from app.records.topics import Topics


async def log_fingerprint(settings: Settings, topics: Topics) -> str:
    """Ours, which must be the log's; without the key the log's own, so that an auditor needs no secret.

    Exit 1 if most of the log is of another key.
    """
    ours = key_fingerprint(settings.pseudonym_key) if settings.pseudonym_key else ""
    found = await foreign_fingerprint(topics.contacts, ours, **client_settings(settings))
    if ours and found:
        give_up(foreign_problem(topics.contacts, settings.pseudonym_key, found), code=PROBLEMS)
    return ours or found or ""
