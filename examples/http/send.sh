#!/bin/sh
# Sending without a connection, by curl: one message, a batch, and a repeated request
# that is sent once. STOMPBOX_HTTP is where the broker is.
set -eu
at=${STOMPBOX_HTTP:-http://127.0.0.1:8080}
token=$(curl -fsS "$at/dev/token?user=shop") # stompbox token makes one outside of --dev

post() {
  curl -fsS "$at/api/send" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$@"
}

post -d '{"destination": "/topic/chat.lobby", "body": "the shop is open"}'
post -d '{"messages": [
  {"destination": "/topic/chat.lobby", "body": "a new book is in", "headers": {"event": "book"}},
  {"destination": "/queue/orders", "body": {"book": 7, "copies": 2}}
]}'
key=order-$$
post -H "Idempotency-Key: $key" -d '{"destination": "/queue/orders", "body": "once"}'
post -H "Idempotency-Key: $key" -d '{"destination": "/queue/orders", "body": "once"}'
curl -fsS "$at/api/queues?destination=/queue/orders" -H "Authorization: Bearer $token"
