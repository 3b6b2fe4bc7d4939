"""Family `metrics`: absolute values per window and shard, on `notify.metrics`; later ones replace earlier."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.metrics.windows import METRICS
from app.domain.model import schema_fields as f


class NotifyMetric(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notify.metric.v1", tag_field="type"
):
    """A counter (`value`) or a histogram (`buckets` are counts per bound, not cumulative; `sum` in seconds).

    A later record of the same metric, labels, window and shard replaces an earlier one.
    """

    metric: Annotated[str, Meta(description="Its name, without heliograph_.", extra_json_schema={"enum": [*METRICS]})]
    labels: dict[str, str]
    window_ms: Annotated[f.EpochMs, Meta(description="Start of the window, milliseconds since the Unix epoch.")]
    length_s: Annotated[int, f.BOUNDS, Meta(description="Length of the window in seconds.")]
    shard: Annotated[int, f.BOUNDS, Meta(description="The partition that counted.")]
    value: float = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    sum: float = 0


decoder = msgspec.json.Decoder(NotifyMetric)
