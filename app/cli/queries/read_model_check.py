"""What `heliograph doctor` finds of the read model: sending does without it, so what is wrong with it is a warning."""

import asyncio
from pathlib import Path

from app.config.settings import Settings

# Seconds of a statement. The doctor may wait for longer than the ingress does.
ANSWER_S = 5.0
ADVICE = "GET /v1/messages answers without it or late; look at heliograph read-model run"


async def read_model_finding(settings: Settings) -> dict[str, str]:
    """What was looked at, "problem" (always empty) and, if something is wrong, "warning"."""
    what, wrong = await asyncio.to_thread(_look, settings)
    found = {"what": what, "problem": ""}
    return {**found, "warning": f"{wrong}; {ADVICE}"} if wrong else found


def _look(settings: Settings) -> tuple[str, str]:
    """What was looked at, and what is wrong with it."""
    from app.read_model.reader import find_problem
    from app.read_model.tables import database_url, open_engine

    given = settings.database_url.reveal()
    try:
        url = database_url(given, settings.read_model_dir)
    except ValueError as fault:
        return "read model", f"HELIOGRAPH_DATABASE_URL: {fault}"
    if not given and not Path(str(url.database)).exists():
        return "read model: none on this machine", ""
    engine = open_engine(url, ANSWER_S, read_only=True)
    try:
        return "read model", find_problem(engine)
    finally:
        engine.dispose()
