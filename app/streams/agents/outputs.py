"""Notices: from decided events to records on the notify topics, and from effects to records for the lanes.

Everything in them comes from rows, input and place, opened where it is sealed: no clock, no chance, so that a repeat
after a crash has the same bytes. Each carries (partition, offset, index) of the input that caused it and goes to the
partition of that number.
"""

import msgspec

from app.clock import iso
from app.domain.fold import Folded
from app.domain.model import effects
from app.domain.model import events as e
from app.domain.model.consent_texts import ConsentTextRedated
from app.domain.model.effects import LaneProved
from app.domain.model.frozen_contact import ContactUnfrozen
from app.domain.model.inputs import CheckpointWritten, TextArrived
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed, TextFiltered
from app.records import lanes
from app.records.envelope import Cause, headers
from app.records.inbound import NotifyReceived
from app.records.numbers import NotifyNumberChanged
from app.records.topics import Topics
from app.streams.agents.caller_fields import CallerFieldsReader
from app.streams.agents.consent_record import consent_record
from app.streams.agents.outcome_record import outcome_record
from app.streams.agents.request_answers import AnswerRecord, answer_record
from app.streams.agents.update_record import update_record
from app.streams.engine.agent import FoldScope, Input, Output

_encode = msgspec.json.Encoder().encode

CONFLICT = e.InputRefused(field="idempotency_key", rule="was used before for another payload")


class OutputBuilder:
    """Writes what a fold decided into the scope of its slice. `caller_fields`: opens what a team reads back."""

    def __init__(self, topics: Topics, caller_fields: CallerFieldsReader) -> None:
        self._topics, self._caller_fields = topics, caller_fields

    def emit(
        self, record: Input, contact_id: str, parsed: ContactInput, folded: Folded, scope: FoldScope
    ) -> list[e.InputRefused]:
        """Emit outputs of every event and effect. Returns the refusals: their dead letter needs the raw record."""
        refused = []
        for index, event in enumerate(folded.events):
            cause = Cause(record.partition, record.offset, index)
            match event:
                case e.AttemptProgressed():
                    self._update(record, contact_id, parsed, folded, event, cause, scope)
                case e.InputRefused():
                    refused.append(event)
                case e.ReconciliationMade() | e.TextsRemembered() | e.LineTypeRecorded() | ConsentTextRedated():
                    continue
                case e.CheckpointKept() | ContactUnfrozen():
                    continue  # changes nothing that a team could see
                case NumberFailed() | FailuresForgotten() | TextFiltered():
                    continue
                case NumberChanged():
                    scope.emit(self._number(record, contact_id, folded, event, cause))
                case e.TextReceived():
                    scope.emit(self._received(record, contact_id, parsed, cause))
                case e.ConsentChanged():
                    changed = consent_record(record, contact_id, parsed, folded, event, cause)
                    scope.emit(
                        self._output(self._topics.consent, contact_id, "notify.consent_changed.v1", changed, record)
                    )
                case e.RequestConflicted():
                    refused.append(CONFLICT)
                    self._update(record, contact_id, parsed, folded, event, cause, scope)
                case _:
                    self._update(record, contact_id, parsed, folded, event, cause, scope)
        for effect in folded.effects:
            if isinstance(effect, effects.CheckpointRequest):
                scope.emit(self._checkpoint(record, contact_id, parsed, folded))
            else:
                scope.emit(self._lane(folded.contact.tenant, effect))
        return refused

    def _update(
        self,
        record: Input,
        contact_id: str,
        parsed: ContactInput,
        folded: Folded,
        event: e.Event,
        cause: Cause,
        scope: FoldScope,
    ) -> None:
        message = folded.find(event.key)  # type: ignore[union-attr] # events without a key are handled above
        message_id = f"{contact_id}-{event.key}"  # type: ignore[union-attr]
        answer = AnswerRecord(message_id, {})
        if isinstance(event, e.MessageOpened | e.RequestRepeated | e.RequestConflicted):
            answer = answer_record(event, parsed, message, message_id, self._caller_fields)
        update = update_record(message_id, message, event, cause, record.at_ms, folded.contact.tenant, answer.fields)
        scope.emit(self._output(self._topics.updates, answer.key, "notify.updated.v1", update, record))
        if isinstance(event, e.OutcomeGiven) and message is not None:
            caller_fields = self._caller_fields(message.sealed_caller_fields, message.tenant, message.id)
            outcome = outcome_record(message, event, cause, caller_fields)
            traced = message.traceparent
            scope.emit(self._output(self._topics.outcomes, message_id, "notify.outcome.v1", outcome, record, traced))

    def _received(self, record: Input, contact_id: str, parsed: ContactInput, cause: Cause) -> Output:
        assert isinstance(parsed, TextArrived), "only a text is received"
        received = NotifyReceived(
            id=f"{contact_id}:{parsed.sid}",
            at=iso(record.at_ms),
            tenant=parsed.tenant,
            contact_id=contact_id,
            message_sid=parsed.sid,
            intent=parsed.intent.value,
            keyword=parsed.keyword,
            answered_by=parsed.answered_by,
            sealed=parsed.sealed,
            masked=parsed.masked,
            media_count=parsed.media_count,
            cause=cause,
        )
        return self._output(self._topics.inbound, contact_id, "notify.received.v1", received, record)

    def _number(self, record: Input, contact_id: str, folded: Folded, event: NumberChanged, cause: Cause) -> Output:
        message = folded.find(event.told_by)
        changed = NotifyNumberChanged(
            id=f"{contact_id}@{cause.partition}-{cause.offset}-{cause.index}",
            at=iso(event.at_ms),
            tenant=folded.contact.tenant,
            contact_id=contact_id,
            state="invalid" if event.why is not None else "valid",
            reason=event.by,
            error_code=event.code,
            message_id=message.id if message else "",
            masked=message.masked if message else "",
            cause=cause,
        )
        return self._output(self._topics.updates, contact_id, "notify.number_changed.v1", changed, record)

    def _checkpoint(self, record: Input, contact_id: str, parsed: ContactInput, folded: Folded) -> Output:
        """What is sealed in the row stays sealed."""
        value = CheckpointWritten(
            id=f"{contact_id}.checkpoint@{record.offset}",
            tenant=folded.contact.tenant,
            pk=parsed.pk,
            at=record.at_ms,
            row=folded.contact,
        )
        return Output(self._topics.contacts, contact_id.encode(), _encode(value), record.partition)

    def _lane(
        self, tenant: str, effect: effects.PermitRequest | effects.PermitSettlement | effects.LaneSlowed | LaneProved
    ) -> Output:
        match effect:
            case effects.PermitRequest():
                value: lanes.LaneRecord = lanes.PermitRequested(tenant=tenant, **msgspec.structs.asdict(effect))
            case effects.PermitSettlement():
                value = lanes.PermitSettled(tenant=tenant, **msgspec.structs.asdict(effect))
            case effects.LaneSlowed():
                value = lanes.LaneThrottled(tenant=tenant, **msgspec.structs.asdict(effect))
            case LaneProved(lane=lane):
                value = lanes.ProbeSucceeded(tenant=tenant, lane=lane)
        return Output(self._topics.lanes, tenant.encode(), _encode(value))

    def _output(
        self, topic: str, key: str, kind: str, value: msgspec.Struct, record: Input, traced: str = ""
    ) -> Output:
        made = headers(kind, value.id, value.at, traced)  # type: ignore[attr-defined] # every notice has both
        return Output(topic, key.encode(), _encode(value), record.partition, made)
