#!/bin/sh
# Makes the signing secret and the data directory of a first installation, and restarts a
# service that runs.
# Debian's dpkg calls it with "configure" and the old version, rpm with 1, or 2 for an upgrade.
set -e

case "$1" in
abort-*) exit 0 ;;
esac

secret=/etc/stompbox/jwt.secret
if [ ! -e "$secret" ]; then
  (umask 077 && head -c 32 /dev/urandom | base64 >"$secret")
fi
# The service reads its configuration and cannot change it. What an operator has given
# to another group stays so.
for path in /etc/stompbox /etc/stompbox/stompbox.yaml "$secret"; do
  if [ -e "$path" ] && [ "$(stat -c %G "$path")" = root ]; then
    chgrp stompbox "$path"
    chmod g+r,o-rwx "$path"
  fi
done

# The unit makes it too. Here it is for doctor, which runs before the first start.
if [ ! -e /var/lib/stompbox ]; then
  install -d -m 700 -o stompbox -g stompbox /var/lib/stompbox
fi

# accepted reports whether this version starts with the configuration of the service. Where that is
# started in another way than the unit of the package does, systemd finds out.
accepted() {
  [ -e /etc/stompbox/stompbox.yaml ] || return 0
  systemctl show --property ExecStart --value stompbox.service | grep -q -e '--config /etc/stompbox/stompbox.yaml' || return 0
  (
    set -a
    [ ! -e /etc/default/stompbox ] || . /etc/default/stompbox
    /usr/bin/stompbox config check --config /etc/stompbox/stompbox.yaml >/dev/null
  )
}

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  # Starts nothing that does not run. A version that refuses the configuration would not start, so
  # the one that runs goes on.
  if ! systemctl is-active --quiet stompbox.service || accepted; then
    systemctl try-restart stompbox.service || true
  else
    echo "stompbox was not restarted, since this version refuses its configuration. The version from before goes on." >&2
    echo "Correct the configuration, then: systemctl restart stompbox" >&2
  fi
fi

if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then
  echo "stompbox is installed. Start it now and at each boot: systemctl enable --now stompbox"
fi
