#!/bin/sh
# After the files are gone. The store and the user stay, also when the package is purged: nobody loses records by mistake.
set -e

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
if [ "$1" = purge ] && [ -d /var/lib/weir ]; then
  echo "weir's records stay in /var/lib/weir. To delete them: rm -r /var/lib/weir; userdel weir"
fi
