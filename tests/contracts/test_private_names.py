"""The private names of faust, mode and aiokafka that the engine uses. A new version that renames one fails here first."""

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from aiokafka.producer.sender import Sender
from aiokafka.protocol import fetch
from faust.stores.rocksdb import Store
from faust.tables.base import Collection as FaustTable
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

USED = [
    (Consumer, "_drain_messages"), (Consumer, "_new_offset"), (Consumer, "_filter_tps_with_pending_acks"),
    (Consumer, "_get_active_partitions"), (Consumer, "_getmany"), (Consumer, "perform_seek"), (Consumer, "ack"), (Consumer, "_seek"), (Consumer, "earliest_offsets"),
    (AIOKafkaConsumerThread, "_create_worker_consumer"), (AIOKafkaConsumerThread, "call_thread"), (AIOKafkaConsumerThread, "_fetch_records"),
    (AIOKafkaClient, "send"),
    (Fetcher, "_proc_fetch_request"), (Fetcher, "fetched_records"), (Fetcher, "_create_fetch_waiter"), (Fetcher, "_notify"),
    (FetchResult, "check_assignment"), (FetchResult, "has_more"), (FetchResult, "_update_position"), (FetchError, "check_raise"),
    (SubscriptionState, "is_assigned"), (SubscriptionState, "wait_for_assignment"), (GroupCoordinator, "_do_heartbeat"), (GroupCoordinator, "_send_req"), (Store, "_db_for_partition"), (AIOKafkaProducer, "send_batch"),
    (FaustTable, "apply_changelog_batch"), (AIOKafkaProducer, "create_batch"), (Sender, "close"), (AIOKafkaConsumer, "pause"), (Recovery, "on_recovery_completed"), (TableManager, "_update_channels"), (TableManager, "on_start"), (AIOKafkaAdminClient, "describe_configs"), (AIOKafkaClient, "get_random_node"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), USED, ids=lambda value: getattr(value, "__name__", value))
def test_a_private_name_is_still_there(owner, name):
    assert callable(getattr(owner, name))


def test_attributes_set_in_constructors_are_still_there():
    assert "_rejoin_needed_fut" in inspect.getsource(GroupCoordinator)
    assert "_fetch_max_wait_ms" in inspect.getsource(Fetcher)
    fetcher = inspect.getsource(Fetcher)
    assert "backoff=self._prefetch_backoff" in fetcher
    assert "self._records[tp] = FetchResult(" in fetcher and "await self._client.send(node_id, request)" in fetcher
    assert all(
        name in fetcher for name in ("self._wait_consume_future = ", "self._subscriptions = ", "self._closed = ")
    )
    assert "for topic, partitions in response.topics" in fetcher and "MemoryRecords(part_data[-1])" in fetcher
    assert "self._partition_records = partition_records" in inspect.getsource(FetchResult)
    records = inspect.getsource(PartitionRecords)
    assert "self._aborted_transactions = " in records and "self.next_fetch_offset = " in records
    state = inspect.getsource(TopicPartitionState)
    assert "self.lso = " in state and "self.highwater = " in state and SubscriptionState.reassignment_in_progress
    consumer = inspect.getsource(AIOKafkaConsumer)
    assert "self._fetcher = " in consumer and "isolation_level=self._isolation_level" in consumer
    assert "active_tps" in inspect.getsource(Recovery) and "tp_to_table" in inspect.getsource(Recovery)
    assert "active_highwaters" in inspect.getsource(Recovery) and "_read_offset" in inspect.getsource(Consumer)
    assert "_committed_offset" in inspect.getsource(Consumer) and "_unacked_messages" in inspect.getsource(Consumer)
    # What the ingress drops a producer by, without waiting for what it holds.
    assert all(name in inspect.getsource(AIOKafkaProducer) for name in ("self._closed", "self._sender", "self.client"))
    assert "self._changelogs = " in inspect.getsource(TableManager) and "active_offsets" in inspect.getsource(Recovery)
    assert "self._client = " in inspect.getsource(AIOKafkaAdminClient)
    assert Store.offset_key == b"__faust\0offset__"


def test_every_fetch_response_passes_the_clients_send_and_bears_its_high_watermark_in_third_place():
    assert "self._client.send(node_id, request)" in inspect.getsource(Fetcher._proc_fetch_request)
    assert "self._client = AIOKafkaClient(" in inspect.getsource(AIOKafkaConsumer)
    responses = [kind for name, kind in vars(fetch).items() if name.startswith("FetchResponse_v")]
    for response in responses:
        topics = response.SCHEMA.fields[response.SCHEMA.names.index("topics")]
        partitions = topics.array_of.fields[1].array_of
        assert partitions.names[:3] == ("partition", "error_code", "highwater_offset")
    assert len(responses) > 10


def test_what_the_ingress_knows_of_a_connection_of_uvicorns_is_still_there():
    connection, request = inspect.getsource(HttpToolsProtocol), inspect.getsource(RequestResponseCycle)
    assert all(f"self.{name} = " in connection or f"self.{name}: " in connection for name in ("cycle", "flow", "loop"))
    assert all(f"self.{name} = " in request for name in ("response_started", "response_complete", "disconnected"))
    assert "self._unsupported_upgrade_warning()" in connection
    assert "self.send_400_response(msg)" in connection and "self.message_event" in request
    assert Config(lambda: None, http=HttpToolsProtocol).http is HttpToolsProtocol
    names = ("parser", "pipeline", "transport", "headers")
    assert all(f"self.{name}: " in connection or f"self.{name} = " in connection for name in names)
    assert isinstance(STATUS_LINE[400], bytes) and inspect.signature(FlowControl).parameters.keys() == {"transport"}
    assert all(callable(getattr(FlowControl, name)) for name in ("pause_reading", "resume_reading"))


def test_a_server_of_uvicorns_handles_signals_in_capture_signals_alone():
    assert "with self.capture_signals():" in inspect.getsource(Server.serve)
    assert "signal" not in inspect.getsource(Server._serve)
    assert not hasattr(Server, "install_signal_handlers")


def test_one_module_alone_uses_what_uvicorn_does_not_document():
    app = Path(__file__).parents[2] / "app"
    users = [path for path in app.rglob("*.py") if "uvicorn.protocols" in path.read_text()]
    assert [str(path.relative_to(app)) for path in users] == ["ingress/http/connections.py"]


@pytest.mark.parametrize(
    ("name", "pinned"), [("faust-streaming", "0.15.3"), ("aiokafka", "0.14.0"), ("mode-streaming", "0.7.1")]
)
def test_the_versions_are_the_ones_that_were_proved(name, pinned):
    assert version(name) == pinned
