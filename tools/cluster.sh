#!/bin/sh
# Starts three brokers on this machine that form a cluster, and prints what to paste. Interrupt it to stop them; what they have
# stored stays in the directory. Each has a configuration file there, from which it can be started again.
#
#   tools/cluster.sh WEIR DIRECTORY NATS HTTP
#
# NATS and HTTP are the addresses (host:port) of the first broker. The others take the next ports, and all of them those from 2000 above
# the NATS port to talk to each other.
set -eu
weir=$1 dir=$2 nats=$3 http=$4
mkdir -p "$dir"
secret=$dir/cluster.secret
[ -s "$secret" ] || (umask 077 && head -c 32 /dev/urandom | base64 > "$secret")

# at ADDRESS N: the address with a port that is N higher.
at() { echo "${1%:*}:$((${1##*:} + $2))"; }
peers="$(at "$nats" 2000), $(at "$nats" 2001), $(at "$nats" 2002)"

pids=
stop() {
	trap - INT TERM EXIT
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
}
trap stop EXIT
trap 'stop; exit 0' INT TERM
for i in 1 2 3; do
	n=$((i - 1))
	cat > "$dir/node$i.conf" <<CONF
store_dir: "$dir/node$i"
nats { listen: "$(at "$nats" $n)" }
http { listen: "$(at "$http" $n)" }
cluster {
  name: "local"
  listen: "$(at "$nats" $((2000 + n)))"
  peers: "$peers"
  secret_file: "$secret"
}
CONF
	"$weir" serve --config "$dir/node$i.conf" > "$dir/node$i.log" 2>&1 &
	pids="$pids $!"
	eval "pid$i=$!"
done

echo "Three brokers start; their logs are $dir/node1.log to node3.log."
tries=0
for i in 1 2 3; do
	until "$weir" health --config "$dir/node$i.conf" > /dev/null 2>&1; do
		for j in 1 2 3; do
			eval "pid=\$pid$j"
			kill -0 "$pid" 2>/dev/null || { printf 'broker %s has ended:\n%s\n' $j "$(tail -n 5 "$dir/node$j.log")" >&2; exit 1; }
		done
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "broker $i is not ready after a minute: see its log" >&2; exit 1; }
		sleep 0.2
	done
done
cat <<TEXT
They are a cluster now, and each answers 200 at http://$http/health, $(at "$http" 1) and $(at "$http" 2) while it is in contact
with another. In another terminal:

  cd $(pwd)
  export NATS_URL=nats://$nats,nats://$(at "$nats" 1),nats://$(at "$nats" 2)
  $weir create-basin demo-basin --create-stream-on-append
  echo hello | $weir append s2://demo-basin/greetings
  curl -s 'http://$(at "$http" 2)/v1/streams/greetings/records?seq_num=0' -H 's2-basin: demo-basin'
  $weir cluster status

  kill -9 $pid1     # the other two go on
  echo again | $weir append s2://demo-basin/greetings
  $weir serve --config $dir/node1.conf     # it comes back, in a terminal of its own

Ctrl-C stops the three.
TEXT
wait
