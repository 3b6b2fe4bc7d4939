"""`heliograph` with a fault planted in the decoding of one record: while the file that DEADLY names is there, a record of
`contacts` that holds its text crashes the interpreter."""

import ctypes
import os
from pathlib import Path
from typing import Any

from app.__main__ import main
from app.streams.agents import contact_fold

FILE = Path(os.environ.get("DEADLY", "none"))


def plant() -> None:
    inner = contact_fold.decode

    def decode(decoder: Any, value: bytes | None) -> Any:
        if FILE.exists() and FILE.read_bytes() in (value or b""):
            ctypes.string_at(0)
        return inner(decoder, value)

    contact_fold.decode = decode


if __name__ == "__main__":
    plant()
    main()
