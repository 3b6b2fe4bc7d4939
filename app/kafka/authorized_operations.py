"""What a client may do with topics and groups, as the broker tells it (KIP-430). Without an authorizer: everything."""

import asyncio
from collections.abc import Iterable
from enum import IntEnum

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request

from app import clock
from app.kafka.topic_facts import described

_UNKNOWN_TOPIC, _TOPIC_FORBIDDEN = 3, 29
_NOT_TOLD = -(2**31)
# A broker that has just started needs a moment until it knows of groups.
PATIENCE_S, LOOK_S = 30.0, 0.2


class Operation(IntEnum):
    """By Kafka's codes (org.apache.kafka.common.acl.AclOperation)."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


Allowed = dict[str, frozenset[Operation]]


def operations(bits: int) -> frozenset[Operation]:
    """Those of a bit field in which bit n stands for the operation of code n."""
    return frozenset(operation for operation in Operation if bits >> operation & 1)


async def topic_operations(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> Allowed:
    """By topic; nothing of a topic that we must not even describe, and no entry for one that is not there. Raises
    KafkaError without a broker, NotImplementedError before Kafka 2.8."""
    allowed: Allowed = {}
    for found in await described(admin, topics, operations=True):
        if found.error_code == _TOPIC_FORBIDDEN:
            allowed[found.name] = frozenset()
        elif found.error_code != _UNKNOWN_TOPIC and found.operations != _NOT_TOLD:
            allowed[found.name] = operations(found.operations)
    return allowed


class _DescribeGroupsV3(DescribeGroupsRequest_v3):  # type: ignore[misc] # aiokafka is Any here
    # aiokafka reads the answer as if it were of version 2.
    RESPONSE_TYPE = DescribeGroupsResponse_v3


class _DescribeGroups(Request[_DescribeGroupsV3]):  # type: ignore[misc] # aiokafka is Any here
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_DescribeGroupsV3]) -> _DescribeGroupsV3:
        return request_struct_class([self._group], True)


async def group_operations(admin: AIOKafkaAdminClient, groups: Iterable[str]) -> Allowed:
    """By consumer group, whether or not it is there. Raises KafkaError without a broker, NotImplementedError before
    Kafka 2.3."""
    return {group: await _of_group(admin, group) for group in groups}


def told_of_group(answer: DescribeGroupsResponse_v3) -> frozenset[Operation]:
    """What an answer about one group says. Raises the KafkaError of the group: a coordinator that is
    not ready tells no operations, which does not mean that there are none."""
    ((error_code, *_, bits),) = answer.groups
    if error_code:
        raise for_code(error_code)
    return frozenset(Operation) if bits == _NOT_TOLD else operations(bits)


async def _of_group(admin: AIOKafkaAdminClient, group: str) -> frozenset[Operation]:
    until = clock.boot_s() + PATIENCE_S
    while True:
        try:
            coordinator = await admin.find_coordinator(group)
            return told_of_group(await admin._client.send(coordinator, _DescribeGroups(group)))
        except GroupAuthorizationFailedError:
            return frozenset()
        except KafkaError as error:
            if not error.retriable or clock.boot_s() > until:
                raise
        await asyncio.sleep(LOOK_S)
