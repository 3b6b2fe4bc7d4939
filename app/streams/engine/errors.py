"""What the engine raises for a fault of a record: its own, never the process's."""


class RecordRefusedError(Exception):
    """Kafka, or its client, refuses a record for what it is (its size, a header): it would be refused again.

    `last_offset`: of the records before it that were appended all the same, None if none was.
    """

    def __init__(self, why: str, last_offset: int | None = None) -> None:
        super().__init__(why)
        self.last_offset = last_offset
