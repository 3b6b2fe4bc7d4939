"""`heliograph` with a fault planted for `ops/bench/isolation`: the fold of messages of one campaign raises."""

from typing import Any

from poison_kinds import RAISING

from app.__main__ import main
from app.domain.inputs import Requested
from app.streams import contactfold


class PlantedError(Exception):
    """What the fold raises."""


def plant() -> None:
    inner = contactfold.fold

    def fold(contact: Any, rows: Any, record: Any, place: Any) -> Any:
        if isinstance(record, Requested) and record.campaign == RAISING:
            raise PlantedError
        return inner(contact, rows, record, place)

    contactfold.fold = fold


if __name__ == "__main__":
    plant()
    main()
