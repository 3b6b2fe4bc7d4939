"""Rights follow from the declaration of topics and groups, and each is there for what a process really does."""

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from aiokafka.protocol.admin import DescribeGroupsResponse_v3

from app.kafka.authorized_operations import Operation, operations, told_of_group
from app.kafka.rights import Right, processes, rights_of
from app.records.topics import Topics

TOPICS = Topics("p.", "p.app", ["acme", "beta"])


def names(process: str, operation: Operation, kind: str = "topic") -> set[str]:
    return {right.name for right in rights_of(TOPICS, process) if (right.kind, right.operation) == (kind, operation)}


def test_everybody_who_writes_or_reads_is_known_by_the_name_before_the_slash() -> None:
    assert processes(TOPICS) == [
        "auditors",
        "bridge",
        "ingress",
        "operators",
        "read-model",
        "teams",
        "topics",
        "worker",
    ]


def test_an_ingress_may_read_the_contact_log_it_is_started_on_and_what_the_workers_read() -> None:
    assert names("ingress", Operation.READ) == set(TOPICS.sources) and TOPICS.contacts in TOPICS.sources
    assert names("ingress", Operation.WRITE) == {*TOPICS.request_tenants, TOPICS.contacts, TOPICS.deadletters}
    assert names("ingress", Operation.DESCRIBE, "group") == {"p.app"}
    assert names("ingress", Operation.READ, "group") == set()


def test_a_bridge_may_read_its_topic_and_commit_in_its_group_and_nothing_else() -> None:
    group = [Right("group", "p.app-bridge", one) for one in (Operation.READ, Operation.DESCRIBE)]
    assert rights_of(TOPICS, "bridge") == [
        *(Right("topic", "p.notify.metrics", one) for one in (Operation.READ, Operation.DESCRIBE)),
        *group,
    ]


@pytest.mark.parametrize(("shared", "more"), [(False, set()), (True, {TOPICS.requests})])
def test_p7_a_team_may_write_the_request_topic_of_its_own_tenant_alone(shared: bool, more: set[str]) -> None:
    """And the one of all where its tenant allows that."""
    mine = rights_of(Topics("p.", "p.app", ["acme"]), "teams", shared_requests=shared)
    assert {right.name for right in mine if right.operation is Operation.WRITE} == {"p.notify.requests.acme"} | more


def test_nobody_but_the_workers_may_join_their_group_and_nobody_but_the_topics_job_makes_topics() -> None:
    for process in set(processes(TOPICS)) - {"worker"}:
        assert Right("group", "p.app", Operation.READ) not in rights_of(TOPICS, process)
    for process in set(processes(TOPICS)) - {"topics"}:
        assert not {Operation.CREATE, Operation.ALTER_CONFIGS} & {r.operation for r in rights_of(TOPICS, process)}
    assert names("topics", Operation.CREATE) == {topic.name for topic in TOPICS.all.values()}
    assert names("topics", Operation.READ) == names("topics", Operation.WRITE) == set()


@pytest.mark.parametrize(
    ("bits", "told"),
    [
        (0, set()),
        (1 << 3, {Operation.READ}),
        (1 << 3 | 1 << 4 | 1 << 8, {Operation.READ, Operation.WRITE, Operation.DESCRIBE}),
        (0b1101_1111_1000, set(Operation)),  # all of a topic, as a broker without an authorizer answers
    ],
)
def test_the_bit_of_an_operation_is_that_of_its_code(bits: int, told: set[Operation]) -> None:
    assert operations(bits) == told


def group(error_code: int, bits: int) -> DescribeGroupsResponse_v3:
    return DescribeGroupsResponse_v3(0, [(error_code, "p.app", "", "", "", [], bits)])


@pytest.mark.parametrize(
    "error", [NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError, GroupLoadInProgressError]
)
def test_a_coordinator_that_is_not_ready_says_nothing_of_rights_and_is_asked_again(error: type[KafkaError]) -> None:
    """On a broker that has just started; its answer tells no operations."""
    with pytest.raises(error) as raised:
        told_of_group(group(error.errno, -(2**31)))
    assert raised.value.retriable


def test_what_a_broker_says_of_a_group_is_taken_as_it_is_and_silence_is_no_refusal() -> None:
    assert told_of_group(group(0, 1 << 8)) == {Operation.DESCRIBE}
    assert told_of_group(group(0, -(2**31))) == set(Operation)
    with pytest.raises(GroupAuthorizationFailedError):
        told_of_group(group(30, -(2**31)))
