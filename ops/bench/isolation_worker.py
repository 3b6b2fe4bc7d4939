"""`heliograph` with a fault planted for `ops/bench/isolation`: the fold of messages of one campaign raises."""

import os
from typing import Any

from poison_kinds import RAISING

from app.__main__ import main
from app.config.settings import Settings
from app.domain.model.inputs import MessageRequested
from app.records.caller_fields import open_caller_fields
from app.records.seal import Sealer
from app.streams.agents import contact_fold


class PlantedError(Exception):
    """What the fold raises."""


def plant() -> None:
    inner, sealer = contact_fold.fold, Sealer(Settings.read(dict(os.environ)).seal_keys)

    def campaign(record: MessageRequested) -> str:
        return open_caller_fields(sealer, record.sealed_caller_fields, record.tenant, record.message_id).campaign

    def fold(contact: Any, rows: Any, record: Any, place: Any) -> Any:
        if isinstance(record, MessageRequested) and campaign(record) == RAISING:
            raise PlantedError
        return inner(contact, rows, record, place)

    contact_fold.fold = fold


if __name__ == "__main__":
    plant()
    main()
