#!/usr/bin/env bash
# Installs the deb of dist/ (make dist), starts the broker as its unit does, uses it, and removes the package again. It changes
# the machine that it runs on and needs root, so it is for CI and for containers.
#
# Where systemd runs, it starts the unit. Elsewhere it runs the unit's ExecStart as the unit's user.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 2; }
if dpkg-query -W weir >/dev/null 2>&1 || [ -e /var/lib/weir ] || [ -e /usr/bin/weir ]; then
  echo "weir is on this machine already, or was; this test would change it" >&2
  exit 2
fi
deb=(dist/weir_*_"$(dpkg --print-architecture)".deb)
[ -f "${deb[0]}" ] || { echo "no deb in dist: make dist" >&2; exit 2; }

pid=''
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  dpkg --purge weir >/dev/null 2>&1 || true
  rm -rf /var/lib/weir /etc/weir /tmp/weir-deb.log
  userdel weir 2>/dev/null || true
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; [ ! -f /tmp/weir-deb.log ] || tail -20 /tmp/weir-deb.log >&2; exit 1; }

echo "== install ${deb[0]}"
dpkg -i "${deb[0]}"
getent passwd weir >/dev/null || fail "no user weir"
[ "$(stat -c '%U %a' /var/lib/weir)" = 'weir 700' ] || fail "/var/lib/weir is $(stat -c '%U %a' /var/lib/weir)"
for file in /usr/bin/weir /usr/lib/systemd/system/weir.service /etc/weir/weir.conf /etc/default/weir /usr/share/doc/weir/copyright; do
  [ -f "$file" ] || fail "no $file"
done
weir version
if command -v systemd-analyze >/dev/null; then
  faults=$(systemd-analyze verify /usr/lib/systemd/system/weir.service 2>&1 | grep -v "Command 'man" || true)
  [ -z "$faults" ] || fail "the unit has faults: $faults"
fi

echo "== start"
port=$((20000 + RANDOM % 10000)) # two that are likely free; the start fails otherwise
export WEIR_NATS_LISTEN=127.0.0.1:$port WEIR_HTTP_LISTEN=127.0.0.1:$((port + 1))
if [ -d /run/systemd/system ]; then
  printf 'WEIR_NATS_LISTEN=%s\nWEIR_HTTP_LISTEN=%s\n' $WEIR_NATS_LISTEN $WEIR_HTTP_LISTEN >>/etc/default/weir
  systemctl start weir
else
  command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/weir.service)
  user=$(sed -n 's/^User=//p' /usr/lib/systemd/system/weir.service)
  # shellcheck disable=SC2086 # the command's words
  setpriv --reuid "$user" --regid "$user" --clear-groups -- $command >/tmp/weir-deb.log 2>&1 &
  pid=$!
fi
for _ in $(seq 50); do
  [ -z "$pid" ] || kill -0 "$pid" || fail "the broker has ended"
  if weir health --config /etc/weir/weir.conf 2>/dev/null; then healthy=1; break; fi
  sleep 0.2
done
[ -n "${healthy:-}" ] || fail "the broker is not healthy"

echo "== use"
export NATS_URL=nats://$WEIR_NATS_LISTEN
weir create-basin demo-basin --create-stream-on-append
printf 'a\nb\nc\n' | weir append s2://demo-basin/greetings
[ "$(weir read s2://demo-basin/greetings --seq-num 0 --count 3 | wc -l)" = 3 ] || fail "three records were appended and not read"

echo "== stop and remove"
if [ -n "$pid" ]; then
  kill -TERM "$pid"
  wait "$pid" || fail "the broker ended with status $?"
  pid=''
fi
dpkg -r weir
[ ! -e /usr/bin/weir ] || fail "the binary is still there"
[ -e /etc/weir/weir.conf ] || fail "remove took the settings"
dpkg --purge weir
[ ! -e /etc/weir/weir.conf ] || fail "purge left the settings"
[ -n "$(ls -A /var/lib/weir)" ] || fail "the records are gone"
echo "== the deb works"
