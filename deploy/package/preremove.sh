#!/bin/sh
# Before the files go. An upgrade removes nothing: deb says "upgrade", rpm 1.
set -e

if { [ "$1" = remove ] || [ "$1" = 0 ]; } && [ -d /run/systemd/system ]; then
  systemctl disable --now weir.service
fi
