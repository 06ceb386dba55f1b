/** How the broker does: from /health and /metrics, which need no access token. */
import { useEffect, useRef, useState } from "preact/hooks";
import { count, duration, latency, short, size } from "../lib/format";
import { lost, reachable, session } from "../lib/session";
import { Look, quantile, rate } from "../lib/prom";
import { Chart } from "../ui/chart";
import { Failed, Loading, Notice } from "../ui/kit";
import { Cluster } from "./cluster";
import { Snippets } from "../ui/snippetsdialog";

const every = 2000;
/** Looks that are kept: ten minutes. */
const kept = 300;

type Point = { at: number; appends: number | null; reads: number | null; p50: number | null; p99: number | null; sync: number | null };

function usePolling(): { look: Look | undefined; health: string | undefined; points: Point[]; problem: string | undefined } {
	const [state, setState] = useState<{ look?: Look; health?: string; problem?: string }>({});
	const points = useRef<Point[]>([]);
	const before = useRef<Look | undefined>(undefined);
	useEffect(() => {
		const abort = new AbortController();
		let timer: ReturnType<typeof setTimeout>;
		const ask = async () => {
			if (document.visibilityState === "visible") {
				try {
					const get = async (path: string) => fetch(path, { cache: "no-store", signal: abort.signal });
					const [metrics, health] = await Promise.all([get("/metrics"), get("/health")]);
					const look = new Look(await metrics.text(), Date.now());
					points.current = [...points.current, pointOf(before.current, look)].slice(-kept);
					before.current = look;
					setState({ look, health: health.ok ? "" : await health.text(), ...(metrics.ok ? {} : { problem: `/metrics answers with status ${metrics.status}` }) });
				} catch {
					if (abort.signal.aborted) return;
					before.current = undefined;
					lost();
				}
			}
			timer = setTimeout(ask, every);
		};
		void ask();
		return () => {
			abort.abort();
			clearTimeout(timer);
		};
	}, []);
	return { look: state.look, health: state.health, points: points.current, problem: state.problem };
}

function pointOf(before: Look | undefined, now: Look): Point {
	return {
		at: now.at / 1000,
		appends: rate(before, now, "weir_append_records_total") ?? null,
		reads: rate(before, now, "weir_read_records_total") ?? null,
		p50: (before && quantile(0.5, before, now, "weir_append_seconds")) ?? null,
		p99: (before && quantile(0.99, before, now, "weir_append_seconds")) ?? null,
		sync: (before && quantile(0.99, before, now, "weir_sync_seconds")) ?? null,
	};
}

const durabilities: Record<string, string> = {
	group: "An ack means: on disk, together with the appends beside it.",
	always: "An ack means: on disk, each append by itself.",
	interval: "An ack means: with the operating system; a power cut may lose the last moments.",
	auto: "As the platform allows.",
};

export function Broker() {
	const { look, health, points, problem } = usePolling();
	const who = session.value;
	return (
		<>
			<div class="page-head">
				<div>
					<h1>Broker</h1>
					<p class="lead">As it is now; the charts begin when you open this page.</p>
				</div>
				<div class="actions">
					<Snippets route={{ page: "broker" }} />
				</div>
			</div>
			{health !== undefined && health !== "" && reachable.value && <Notice kind="bad" title={`The broker is not healthy: ${health}`} />}
			{problem && <Failed error={{ code: "", status: 0, message: problem, hint: "" }} />}
			{!look && !problem && <Loading what="the metrics" />}
			{look && (
				<>
					<Facts look={look} health={health ?? ""} version={who?.version ?? ""} durability={who?.durability ?? ""} />
					<Charts points={points} />
					<Cluster />
					<div class="cards">
						<Doors look={look} />
						<Store look={look} />
						<Failures look={look} />
						<Process look={look} />
					</div>
				</>
			)}
		</>
	);
}

function Facts({ look, health, version, durability }: { look: Look; health: string; version: string; durability: string }) {
	const up = look.sum("weir_uptime_seconds");
	const failed = look.sum("weir_store_failed") === 1;
	const jetstream = look.sum("weir_jetstream_up");
	const healthy = reachable.value && health === "" && !failed && jetstream !== 0;
	return (
		<dl class="facts">
			<div>
				<dt>Health</dt>
				<dd>
					<span class="entry">
						<span class={healthy ? "dot" : "dot bad"} /> {!reachable.value ? "no answer" : healthy ? "healthy" : failed ? "the store has failed" : jetstream === 0 ? "JetStream is down" : "not healthy"}
					</span>
					<small>{up === undefined ? "" : `up for ${duration(up)}`}</small>
				</dd>
			</div>
			<div>
				<dt>Version</dt>
				<dd>
					{version}
					<small>{look.all("weir_build_info")[0]?.labels["goversion"] ?? ""}</small>
				</dd>
			</div>
			<div>
				<dt>Durability</dt>
				<dd>
					{durability}
					<small>{durabilities[durability] ?? ""}</small>
				</dd>
			</div>
			<div>
				<dt>Basins, streams</dt>
				<dd>
					{count(look.sum("weir_catalog_basins") ?? Number.NaN)}, {count(look.sum("weir_catalog_streams") ?? Number.NaN)}
					<small>{count(look.sum("weir_catalog_access_tokens") ?? Number.NaN)} access tokens issued</small>
				</dd>
			</div>
			<div>
				<dt>Stored</dt>
				<dd>
					{size(look.sum("weir_stored_bytes") ?? Number.NaN)}
					<small>metered; {size((look.sum("weir_jetstream_store_bytes") ?? 0) + (look.sum("weir_jetstream_memory_bytes") ?? 0))} in JetStream</small>
				</dd>
			</div>
			<div>
				<dt>Sessions</dt>
				<dd>
					{count(look.sum("weir_sessions") ?? 0)}
					<small>{count(look.sum("weir_followers") ?? 0)} wait at a tail</small>
				</dd>
			</div>
		</dl>
	);
}

function Charts({ points }: { points: Point[] }) {
	const times = points.map((p) => p.at);
	const end = times.at(-1) ?? 0;
	const range = [Math.min(times[0] ?? end, end - 120), end] as const;
	const now = points.at(-1);
	const perSecond = (n: number) => short(Math.round(n * 10) / 10);
	return (
		<div class="cards">
			<section class="card" aria-label="Records a second">
				<div class="card-head">
					<div>
						<h2>Records a second</h2>
						<p class="quiet">Acknowledged, and delivered to readers</p>
					</div>
					<p class="figure">
						{now?.appends === null || now === undefined ? "–" : perSecond(now.appends)}
						<small>appended</small>
					</p>
				</div>
				<Chart
					label={`Records a second: ${perSecond(now?.appends ?? 0)} appended, ${perSecond(now?.reads ?? 0)} read`}
					times={times}
					series={[{ name: "appended", values: points.map((p) => p.appends) }, { name: "read", values: points.map((p) => p.reads) }]}
					format={perSecond}
					range={range}
					joined
				/>
			</section>
			<section class="card" aria-label="Latency of appends">
				<div class="card-head">
					<div>
						<h2>Latency of appends</h2>
						<p class="quiet">From arrival to ack, estimated from a histogram</p>
					</div>
					<p class="figure">
						{now?.p50 === null || now === undefined ? "–" : latency(now.p50)}
						<small>median</small>
					</p>
				</div>
				<Chart
					label={`Latency of appends: median ${latency(now?.p50 ?? Number.NaN)}, 99th percentile ${latency(now?.p99 ?? Number.NaN)}`}
					times={times}
					series={[
						{ name: "median", values: points.map((p) => p.p50) },
						{ name: "99th percentile", values: points.map((p) => p.p99) },
						{ name: "sync, 99th percentile", values: points.map((p) => p.sync) },
					]}
					format={latency}
					range={range}
					joined
				/>
			</section>
		</div>
	);
}

function Doors({ look }: { look: Look }) {
	const doors = [...new Set(look.all("weir_append_records_total").map((s) => s.labels["door"] ?? ""))].sort();
	const cell = (name: string, door: string, labels: Record<string, string> = {}) => count(look.sum(name, { door, ...labels }) ?? 0);
	return (
		<section class="card" aria-labelledby="doors">
			<h2 id="doors">Doors</h2>
			<div class="table-wrap flat" tabIndex={0} role="region" aria-label="Doors, as a table">
				<table>
					<thead>
						<tr>
							<th scope="col">Door</th>
							<th scope="col" class="num">Appended</th>
							<th scope="col" class="num">Read</th>
							<th scope="col" class="num">Append sessions</th>
							<th scope="col" class="num">Read sessions</th>
						</tr>
					</thead>
					<tbody>
						{doors.map((door) => (
							<tr key={door}>
								<th scope="row">{door === "in_process" ? "in process" : door.toUpperCase()}</th>
								<td class="num">{cell("weir_append_records_total", door)}</td>
								<td class="num">{cell("weir_read_records_total", door)}</td>
								<td class="num">{cell("weir_sessions", door, { kind: "append" })}</td>
								<td class="num">{cell("weir_sessions", door, { kind: "read" })}</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
			<p class="hint">Records since the start; sessions that are open now.</p>
		</section>
	);
}

function Store({ look }: { look: Look }) {
	const used = look.sum("weir_jetstream_store_bytes");
	const limit = look.sum("weir_store_limit_bytes");
	const free = look.sum("weir_disk_free_bytes");
	const full = used !== undefined && limit ? used / limit : undefined;
	const rows: Array<[string, string]> = [
		["JetStream on disk", size(used ?? Number.NaN)],
		["It may become", limit === undefined ? "–" : size(limit)],
		["Free on the disk", free === undefined ? "–" : size(free)],
		["Logs open", count(look.sum("weir_logs_open") ?? Number.NaN)],
		["Streams in memory", count(look.sum("weir_streams_loaded") ?? Number.NaN)],
		["Appends that wait", count(look.sum("weir_appends_queued") ?? 0)],
		["Chunks not yet durable", count(look.sum("weir_chunks_in_flight") ?? 0)],
	];
	return (
		<section class="card" aria-labelledby="store">
			<h2 id="store">Store</h2>
			{full !== undefined && full > 0.85 && (
				<Notice kind="warn" title={`The store is ${Math.round(full * 100)}% full`}>
					<p>Appends fail when it is full: trim, delete or add space.</p>
				</Notice>
			)}
			<Rows rows={rows} />
		</section>
	);
}

function Rows({ rows }: { rows: Array<[string, string]> }) {
	return (
		<dl class="lines even">
			{rows.map(([name, value]) => (
				<div key={name}>
					<dt>{name}</dt>
					<dd>{value}</dd>
				</div>
			))}
		</dl>
	);
}

function Failures({ look }: { look: Look }) {
	const failures = look
		.all("weir_record_failures_total")
		.filter((s) => s.value > 0)
		.sort((a, b) => b.value - a.value);
	return (
		<section class="card" aria-labelledby="failures">
			<h2 id="failures">Appends, reads and sessions that failed</h2>
			{failures.length === 0 ? (
				<p class="quiet">None since the start.</p>
			) : (
				<div class="table-wrap flat" tabIndex={0} role="region" aria-label="Failures, as a table">
					<table>
						<thead>
							<tr>
								<th scope="col">Code</th>
								<th scope="col">Operation</th>
								<th scope="col">Door</th>
								<th scope="col" class="num">Times</th>
							</tr>
						</thead>
						<tbody>
							{failures.slice(0, 20).map(({ labels, value }) => (
								<tr key={JSON.stringify(labels)}>
									<th scope="row">
										<code>{labels["code"]}</code>
									</th>
									<td>{labels["operation"]?.replaceAll("_", " ")}</td>
									<td>{labels["door"]?.replaceAll("_", " ")}</td>
									<td class="num">{count(value)}</td>
								</tr>
							))}
						</tbody>
					</table>
				</div>
			)}
		</section>
	);
}

function Process({ look }: { look: Look }) {
	const requests = look.sum("weir_http_requests_total");
	const rows: Array<[string, string]> = [
		["Memory", size(look.sum("process_resident_memory_bytes") ?? Number.NaN)],
		["Goroutines", count(look.sum("go_goroutines") ?? Number.NaN)],
		["Open files and connections", count(look.sum("process_open_fds") ?? Number.NaN)],
		["HTTP connections", count(look.sum("weir_http_connections") ?? Number.NaN)],
		["NATS connections", count(look.sum("weir_nats_connections") ?? Number.NaN)],
		["HTTP requests answered", count(requests ?? 0)],
		["HTTP sessions open", count(look.sum("weir_http_sessions") ?? 0)],
		["Sent over HTTP", size(look.sum("weir_http_sent_bytes_total") ?? 0)],
	];
	return (
		<section class="card" aria-labelledby="process">
			<h2 id="process">Process</h2>
			<Rows rows={rows.filter(([, value]) => value !== "–")} />
		</section>
	);
}
