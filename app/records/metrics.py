"""Family `metrics`: absolute values per window and shard, on `notify.metrics`; later ones replace earlier."""

import msgspec


class NotifyMetric(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notify.metric.v1", tag_field="type"
):
    """A counter (`value`) or a histogram (`buckets` are counts per bound, not cumulative; `sum` in seconds).

    `window_ms` is the window's start (ms since the epoch), `length_s` its length; `shard` the partition that counted.
    """

    metric: str
    labels: dict[str, str]
    window_ms: int
    length_s: int
    shard: int
    value: float = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    sum: float = 0


decoder = msgspec.json.Decoder(NotifyMetric)
