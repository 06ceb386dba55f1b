#!/bin/sh
# Starts three brokers on this machine that form a cluster, and prints what to paste. Interrupt it to stop them; what they have
# stored stays in the directory.
#
#   tools/cluster.sh WEIR DIRECTORY
set -eu
weir=$1 dir=$2
mkdir -p "$dir"
secret=$dir/cluster.secret
[ -s "$secret" ] || (umask 077 && head -c 32 /dev/urandom | base64 > "$secret")
peers=127.0.0.1:6222,127.0.0.1:6223,127.0.0.1:6224
pids=
stop() {
	trap - INT TERM EXIT
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
}
trap stop INT TERM EXIT
for i in 1 2 3; do
	"$weir" serve --store-dir "$dir/node$i" --nats-listen "127.0.0.1:$((4221 + i))" --http-listen "127.0.0.1:$((8079 + i))" \
		--cluster-name local --cluster-listen "127.0.0.1:$((6221 + i))" --cluster-peers "$peers" --cluster-secret-file "$secret" \
		> "$dir/node$i.log" 2>&1 &
	pids="$pids $!"
	eval "pid$i=$!"
done
cat <<TEXT
Three brokers start; their logs are $dir/node1.log to node3.log. In another terminal:

  export NATS_URL=nats://127.0.0.1:4222,nats://127.0.0.1:4223,nats://127.0.0.1:4224
  $weir create-basin demo-basin --create-stream-on-append
  echo hello | $weir append s2://demo-basin/greetings
  curl -s 'http://127.0.0.1:8082/v1/streams/greetings/records?seq_num=0' -H 's2-basin: demo-basin'
  kill -9 $pid1     # the other two go on
  echo again | $weir append s2://demo-basin/greetings

Each answers 200 at http://127.0.0.1:8080/health, 8081 and 8082 while it is in contact with another.
TEXT
wait
