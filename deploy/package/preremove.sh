#!/bin/sh
# Stops the service before its files go. An upgrade restarts it afterwards.
set -e

case "$1" in
upgrade | 1 | failed-upgrade | deconfigure) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
  systemctl disable --now stompbox.service || true
fi
