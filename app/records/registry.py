"""Registry of record types: every struct that travels on a topic, by its published type."""

from collections.abc import Mapping
from typing import get_args

import msgspec

from app.domain.model.inputs import Input
from app.records.bulk import BulkParked
from app.records.consent import NotifyConsentChanged, NotifyInboundOpened, NotifyMessageOpened, NotifyTextsOpened
from app.records.dead_letters import DeadletterRecord
from app.records.inbound import NotifyReceived
from app.records.lanes import LaneRecord
from app.records.metrics import NotifyMetric
from app.records.numbers import NotifyNumberChanged
from app.records.outcomes import NotifyOutcome
from app.records.requests import NotifyCanceled, NotifyRequested
from app.records.updates import NotifyUpdated

_NOTIFY = (NotifyRequested, NotifyCanceled, NotifyOutcome, NotifyUpdated, NotifyReceived, NotifyConsentChanged)
STRUCTS: Mapping[str, type[msgspec.Struct]] = {
    str(struct.__struct_config__.tag): struct
    for struct in (
        *_NOTIFY,
        NotifyNumberChanged,
        NotifyInboundOpened,
        NotifyMessageOpened,
        NotifyTextsOpened,
        NotifyMetric,
        *get_args(DeadletterRecord),
        *get_args(Input),
        *get_args(LaneRecord),
        BulkParked,
    )
}
