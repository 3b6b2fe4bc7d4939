"""The part of Twilio we use, on your own machine: REST API, signed webhooks, and misbehaviour on purpose.

It shares no code with the rest: it is the other side. Use it to test your own Twilio code, with curl or the SDK;
README.md beside this file tells how, with examples:

    heliograph simulator --port 4010 --inbound-url http://127.0.0.1:8080/inbound
    T=http://127.0.0.1:4010 A=AC00000000000000000000000000000000
    curl -u $A:simulator-token $T/2010-04-01/Accounts/$A/Messages.json --data-urlencode To=+14155550123 \\
      --data-urlencode From=+15005550006 -d Body=hello --data-urlencode StatusCallback=http://127.0.0.1:8080/status
    curl $T/_sim/creates                                             what it accepted, in order; ?limit, ?after, ?count
    curl $T/_sim/calls                                               counts: calls, refusals by code, callbacks
    curl $T/_sim/webhooks                                            the last posts to you, and what they got
    curl $T/_sim/numbers                                             numbers that misbehave, and how
    curl $T/_sim/inbound -d '{"from": "+14155550123", "body": "STOP"}'    a person texts; what your webhook answered
    curl $T/_sim/faults -d '{"throttle": 0.5, "calls": 20}'          half of the calls get 429, twenty at most
    curl -X DELETE $T/_sim/faults
    curl $T/_sim/config -d '{"ends": {"+14155550123": "undelivered:30005"}}'
    curl -u $A:simulator-token "$T/v2/PhoneNumbers/+14155550123?Fields=line_type_intelligence"
    curl $T/_sim/account -d '{"numbers": [{"phone_number": "+14155550100"}]}'    what it holds, and so who may send
    curl -X DELETE $T/_sim/account                                   anything may again
    curl -X POST $T/_sim/reset

With the SDK: `client.api.base_url = "http://127.0.0.1:4010"`. A text lives queued, sending, sent, then delivered,
undelivered, failed or silent (no report after sent), by script, seed and number: the same numbers in the same order end
the same in every run. Callbacks are signed with the auth token and retried as the URL's fragment (#rc=5&rp=all) says.

`control` is the app; `api`, `rules`, `message_pages`, `text` are its REST side, `lookup` and `line_types` its Lookup;
`message_life`, `queues`, `recipient` decide what becomes of a text; `inbound_people`, `consent` play those who text in;
`webhooks`, `webhook_client`, `signature` call back; `faults`, `scripts`, `seeded_chance` decide what goes wrong;
`account`, `account_access`, `account_data`, `numbers`, `services` hold what it has besides texts, `senders` says who
may send by that; `config` and `state` are its memory.
"""
