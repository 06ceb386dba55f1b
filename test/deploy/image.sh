#!/usr/bin/env bash
# Does what the Dockerfile does, without a container engine: builds from the files that .dockerignore lets through, puts the
# binary into an empty root as the image has it, and runs it there as the image's user. Needs root, for chroot.
# With an engine, it lets the engine check the Dockerfile as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 2; }

work=$(mktemp -d) pid=''
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; [ ! -f "$work/log" ] || tail -20 "$work/log" >&2; exit 1; }

mkdir -p "$work/src" "$work/root/usr/bin" "$work/root/var/lib/weir"
chmod 755 "$work" "$work/root"
while read -r path; do
  git ls-files -z -- "$path" | grep -zvE '(_test\.go$|/testdata/)' | xargs -0 cp --parents -t "$work/src"
done < <(sed -n 's/^!//p' .dockerignore)
# The command of the Dockerfile, with its variables.
(cd "$work/src" && CGO_ENABLED=0 go build -buildvcs=false -trimpath \
  -ldflags "-s -w -X github.com/weirstream/weir/cmd/weir/internal/cli.version=1.2.3" -o "$work/root/usr/bin/weir" ./cmd/weir)

user=$(sed -n 's/^USER //p' Dockerfile)
chown "$user" "$work/root/var/lib/weir"
in_image() { chroot --userspec="$user" "$work/root" "$@"; }
[ "$(in_image /usr/bin/weir version | head -1)" = "weir 1.2.3" ] || fail "the version is not that of the build argument"

port=$((20000 + RANDOM % 10000))
export WEIR_NATS_LISTEN=127.0.0.1:$port WEIR_HTTP_LISTEN=127.0.0.1:$((port + 1)) HOME=/
eval "export $(sed -n 's/^ENV //p' Dockerfile)"
chroot --userspec="$user" "$work/root" /usr/bin/weir serve >"$work/log" 2>&1 &
pid=$!
for _ in $(seq 50); do
  kill -0 "$pid" || fail "the broker has ended"
  if in_image /usr/bin/weir health 2>/dev/null; then healthy=1; break; fi
  sleep 0.2
done
[ -n "${healthy:-}" ] || fail "the broker is not healthy"
export NATS_URL=nats://$WEIR_NATS_LISTEN
in_image /usr/bin/weir create-basin demo-basin --create-stream-on-append
[ "$(echo hello | in_image /usr/bin/weir append s2://demo-basin/greetings && in_image /usr/bin/weir read s2://demo-basin/greetings --seq-num 0 --count 1)" ] || fail "nothing was read"
kill -TERM "$pid"
wait "$pid" || fail "the broker ended with status $?"
pid=''

if docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
  docker buildx build --check .
else
  echo "no container engine here: the Dockerfile itself was not checked"
fi
echo "== what the image holds works"
