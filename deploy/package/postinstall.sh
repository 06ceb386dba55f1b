#!/bin/sh
# After the files are in place, at an installation and at an upgrade, of the deb and of the rpm.
set -e

if ! getent group weir >/dev/null; then
  groupadd --system weir
fi
if ! getent passwd weir >/dev/null; then
  useradd --system --gid weir --home-dir /var/lib/weir --no-create-home --shell /usr/sbin/nologin weir
fi
install -d -o weir -g weir -m 700 /var/lib/weir

# systemd is absent in containers and in the making of images.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if systemctl is-active --quiet weir.service; then
    systemctl restart weir.service
  fi
fi

# deb: "configure" with the former version, if any. rpm: 1 at an installation, 2 at an upgrade.
if { [ "$1" = configure ] && [ -z "$2" ]; } || [ "$1" = 1 ]; then
  echo "weir is installed and not started. Look at /etc/weir/weir.conf, then: systemctl enable --now weir"
fi
