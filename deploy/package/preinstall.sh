#!/bin/sh
# Makes the account of the service.
set -e

if ! getent passwd stompbox >/dev/null; then
  useradd --system --user-group --home-dir /var/lib/stompbox --no-create-home \
    --shell /usr/sbin/nologin --comment "stompbox message broker" stompbox
fi
