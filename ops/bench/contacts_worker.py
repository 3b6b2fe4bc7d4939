"""A worker with the contacts agent alone: `ops/bench/fold` runs it, told by the environment as any worker."""

from collections.abc import Sequence

from app.cli.commands.worker import command
from app.streams import worker
from app.streams.engine.agent import Agent


class ContactsAlone(worker.Worker):
    """All of the worker but the agents of the other topics."""

    def _agents(self) -> Sequence[Agent]:
        super()._agents()
        return [self.contacts]


if __name__ == "__main__":
    worker.Worker = ContactsAlone  # type: ignore[misc] # the command imports it when it is called
    command()
