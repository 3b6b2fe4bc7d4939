"""The stream engine: slices of records, a crash-safe cycle and bulk recovery, on top of Faust.

Faust still does group membership and assignment, the consumer's life cycle, tables with their changelog topics and
RocksDB stores, the agents' streams, and the moment at which a recovery is complete.

The engine replaces, with the file that does it and the reason:

- one event at a time: slices in `cycle.py`, so that many records share one write and one acknowledgement;
- commits by acknowledged event: `offset_tracker.py` and `cycle.py`, so that an offset is committed only after the
  rows and outputs of its record are durable (kill -9);
- the producer: `producer.py` and `lease.py`, so that a former owner of a partition stops writing in time;
- the restoring of tables: `restore.py`, `freshness.py` and `takeover.py`, in bulk, checked before the first input;
- the fetching loop: `consumer.py`, `consumer_thread.py` and `fetch_throttle.py`, with bounded memory;
- silent ends: `watchdog.py` and `process_exit.py` end a stalled or faulty process with an exit code.

This relies on private names of faust-streaming 0.15.3, mode-streaming 0.7.1 and aiokafka 0.14.0 (pinned in
pyproject.toml). `tests/contracts/test_private_names.py` lists them and fails first where a new version renames one.
"""
