"""Mutations: what could be wrong with a run, applied to its recorded evidence, each with the rules that must tell of it.

A mutation is a function over `Changed`; its name says what is wrong.
"""

from collections.abc import Callable
from typing import Any

from tests.support.chaos_changes import ChangedStory

Mutation = Callable[[ChangedStory], None]
Mutations = list[tuple[Mutation, tuple[str, ...]]]


def registering(mutations: Mutations) -> Callable[..., Callable[[Mutation], Mutation]]:
    """A decorator that takes the rules which must find a mutation, and adds both to `mutations`."""

    def caught_by(*rules: str) -> Callable[[Mutation], Mutation]:
        def register(mutation: Mutation) -> Mutation:
            mutations.append((mutation, rules))
            return mutation

        return register

    return caught_by


def message_of(changed: ChangedStory, test: Callable[[dict[str, Any]], bool]) -> str:
    """The first message with such an outcome."""
    return str(changed.values("outcomes", test)[0]["message_id"])


def delivered_at_once(value: dict[str, Any]) -> bool:
    """An outcome of one attempt that was delivered."""
    return value["outcome"] == "delivered" and value["revision"] == 1 and len(value["attempts"]) == 1
