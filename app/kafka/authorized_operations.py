"""What a client may do with topics and groups, as the broker tells it (KIP-430). Without an authorizer: everything."""

import asyncio
from collections.abc import Iterable
from enum import IntEnum

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request

from app import clock
from app.kafka.topic_facts import described

_UNKNOWN_TOPIC, _TOPIC_FORBIDDEN, _GROUP_FORBIDDEN = 3, 29, 30
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


async def _of_group(admin: AIOKafkaAdminClient, group: str) -> frozenset[Operation]:
    until = clock.boot_s() + PATIENCE_S
    while True:
        try:
            coordinator = await admin.find_coordinator(group)
            answer = await admin._client.send(coordinator, _DescribeGroups(group))
            ((error_code, *_, bits),) = answer.groups
            return frozenset() if error_code == _GROUP_FORBIDDEN else operations(bits)
        except GroupAuthorizationFailedError:
            return frozenset()
        except KafkaError as error:
            if not error.retriable or clock.boot_s() > until:
                raise
        await asyncio.sleep(LOOK_S)
