#!/bin/sh
# Keeps queues and histories when the package is removed. Only dpkg's purge deletes them.
set -e

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
  rm -rf /var/lib/stompbox /etc/stompbox
  if getent passwd stompbox >/dev/null; then
    userdel stompbox || true
  fi
fi
