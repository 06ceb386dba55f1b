/** What was used: of the account, of a basin, of a stream. */
import type { MetricSetResponse } from "@s2-dev/streamstore";
import { useEffect, useState } from "preact/hooks";
import { s2 } from "../lib/client";
import { count, localExact, short, size } from "../lib/format";
import { useLoad } from "../lib/load";
import { currentQuery, href, setQuery } from "../lib/route";
import { allows, session } from "../lib/session";
import { type Interval, labels, naturalInterval, type Plot, plot, type RangeName, ranges, span } from "../lib/usage";
import { Chart } from "../ui/chart";
import { Choice, Empty, Failed, Link, Loading, Search, SelectField } from "../ui/kit";
import { Snippets } from "../ui/snippetsdialog";

type BasinSet = "storage" | "append-ops" | "append-throughput" | "read-ops" | "read-throughput" | "basin-ops";

const basinSets: ReadonlyArray<readonly [BasinSet, string, string]> = [
	["storage", "Storage", "Neither trimmed nor expired nor deleted"],
	["append-throughput", "Appended", "Metered bytes"],
	["append-ops", "Append operations", "One a minute, stream and connection"],
	["read-throughput", "Read", "Metered bytes delivered"],
	["read-ops", "Read operations", "Unary reads; sessions, once a minute with records"],
	["basin-ops", "Operations on streams", "Creations, lists, configurations, checks of a tail"],
];

function useRange(): { range: RangeName; interval: Interval; now: number; controls: preact.JSX.Element } {
	const query = currentQuery();
	const given = query.get("range") as RangeName;
	const range: RangeName = given in ranges ? given : "1d";
	const chosen = query.get("interval") as Interval | null;
	const interval = chosen === "minute" || chosen === "hour" || chosen === "day" ? chosen : naturalInterval(range);
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		setNow(Date.now());
		const timer = setInterval(() => {
			if (document.visibilityState === "visible") setNow(Date.now());
		}, 30_000);
		return () => clearInterval(timer);
	}, [range]);
	const controls = (
		<div class="toolbar">
			<Choice
				label="Time"
				value={range}
				options={[["1h", "1 hour"], ["6h", "6 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"]]}
				onValue={(range) => setQuery({ range, interval: undefined })}
			/>
			<SelectField
				inline
				label="Interval"
				value={interval}
				options={(range === "7d" || range === "30d" ? (["hour", "day"] as const) : (["minute", "hour"] as const)).map((i) => [i, i] as const)}
				onValue={(interval) => setQuery({ interval: interval === naturalInterval(range) ? undefined : interval })}
			/>
		</div>
	);
	return { range, interval, now, controls };
}

export function Usage() {
	const { range, interval, now, controls } = useRange();
	const time = span(range, now);
	const may = allows("account-metrics");
	const active = useLoad(
		(signal) => s2().metrics.account({ set: "active-basins", start: time.start * 1000, end: time.end * 1000 }, { signal }),
		[range, now, may],
	);
	const [prefix, setPrefix] = useState("");
	const names = active.data ? labels(active.data).filter((name) => name.includes(prefix)) : [];
	return (
		<>
			<div class="page-head">
				<div>
					<h1>Usage</h1>
					<p class="lead">What the account has used. A basin or stream tells its own on its page.</p>
				</div>
				<div class="actions">
					<Snippets route={{ page: "usage" }} />
				</div>
			</div>
			{controls}
			<MetricCard
				title="Operations on the account"
				about="On basins, access tokens and locations"
				deps={["account-ops", range, interval, now]}
				time={time}
				get={(signal) => s2().metrics.account({ set: "account-ops", start: time.start * 1000, end: time.end * 1000, interval }, { signal })}
			/>
			<section class="card" aria-labelledby="active">
				<h2 id="active">Active basins</h2>
				{active.error && <Failed error={active.error} retry={active.reload} />}
				{!active.data && !active.error && <Loading what="the basins" />}
				{active.data && (
					<>
						<p class="quiet">{count(labels(active.data).length)} had a stream in this time.</p>
						{labels(active.data).length > 20 && <Search label="Find a basin" value={prefix} onValue={setPrefix} />}
						<ul class="names">
							{names.slice(0, 500).map((name) => (
								<li key={name}>
									<Link to={href({ page: "basin", basin: name }, { tab: "usage", range: range === "1d" ? undefined : range })}>
										<span class="mono">{name}</span>
									</Link>
								</li>
							))}
						</ul>
						{names.length > 500 && <p class="quiet">{count(names.length - 500)} more: find one by a part of its name.</p>}
					</>
				)}
			</section>
			{session.value && <Note />}
		</>
	);
}

function Note() {
	return <p class="hint">Usage is written every ten seconds and kept for 33 days. Times are bucketed in UTC and shown in local time.</p>;
}

export function BasinUsage({ basin }: { basin: string }) {
	const { range, interval, now, controls } = useRange();
	const time = span(range, now);
	return (
		<>
			{controls}
			<div class="cards">
				{basinSets.map(([set, title, about]) => (
					<MetricCard
						key={set}
						title={title}
						about={about}
						deps={[basin, set, range, interval, now]}
						time={time}
						get={(signal) =>
							s2().metrics.basin(
								{ basin, set, start: time.start * 1000, end: time.end * 1000, interval: set === "storage" ? "hour" : interval },
								{ signal },
							)
						}
					/>
				))}
			</div>
			<Note />
		</>
	);
}

export function StreamUsage({ basin, stream }: { basin: string; stream: string }) {
	const { range, now, controls } = useRange();
	const time = span(range, now);
	return (
		<>
			{controls}
			<MetricCard
				title="Storage"
				about="Neither trimmed nor expired; a point for each minute in which it changed"
				deps={[basin, stream, range, now]}
				time={time}
				get={(signal) => s2().metrics.stream({ basin, stream, set: "storage", start: time.start * 1000, end: time.end * 1000, interval: "minute" }, { signal })}
			/>
			<Note />
		</>
	);
}

function MetricCard({
	title,
	about,
	deps,
	time,
	get,
}: {
	title: string;
	about: string;
	deps: ReadonlyArray<unknown>;
	time: { start: number; end: number };
	get: (signal: AbortSignal) => Promise<MetricSetResponse>;
}) {
	const [kept, keep] = useState<Plot | undefined>();
	const answer = useLoad(async (signal) => {
		const shown = plot(await get(signal), time.start, time.end);
		keep(shown);
		return shown;
	}, deps);
	const shown = answer.data ?? kept;
	const format = shown?.unit === "bytes" ? size : short;
	const nothing = shown !== undefined && (shown.series.length === 0 || shown.series.every((s) => s.values.every((v) => v === null)));
	return (
		<section class="card" aria-label={title}>
			<div class="card-head">
				<div>
					<h2>{title}</h2>
					<p class="quiet">{about}</p>
				</div>
				{shown && !nothing && (
					<p class="figure">
						{shown.series.length > 0 && format(shown.series.reduce((sum, s) => sum + s.total, 0))}
						<small>{shown.sums ? "in this time" : "now"}</small>
					</p>
				)}
			</div>
			{answer.error && <Failed error={answer.error} retry={answer.reload} />}
			{!shown && !answer.error && <Loading what={title.toLowerCase()} />}
			{nothing && (
				<Empty icon="usage" title="Nothing in this time">
					<p>It shows up here within ten seconds of its use.</p>
				</Empty>
			)}
			{shown && !nothing && (
				<>
					<Chart
						label={`${title}: ${shown.series.map((s) => `${s.name} ${format(s.total)}`).join(", ")}`}
						times={shown.times}
						series={shown.series}
						format={format}
						bars={shown.sums}
						bytes={shown.unit === "bytes"}
						range={[time.start, time.end]}
					/>
					<details class="as-table">
						<summary>As a table</summary>
						<PlotTable shown={shown} format={format} title={title} />
					</details>
				</>
			)}
		</section>
	);
}

/** The same for who does not see charts: the buckets that hold something, the newest first. */
function PlotTable({ shown, format, title }: { shown: Plot; format: (n: number) => string; title: string }) {
	const rows = shown.times.map((at, i) => ({ at, values: shown.series.map((s) => s.values[i] ?? null) })).filter((row) => row.values.some((v) => v));
	return (
		<div class="table-wrap tall" tabIndex={0} role="region" aria-label={`${title} as a table`}>
			<table>
				<thead>
					<tr>
						<th scope="col">Time</th>
						{shown.series.map((s) => (
							<th key={s.name} scope="col" class="num">
								{s.name}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{rows
						.reverse()
						.slice(0, 300)
						.map((row) => (
							<tr key={row.at}>
								<th scope="row" class="mono">
									{localExact(row.at * 1000).slice(0, 19)}
								</th>
								{row.values.map((v, i) => (
									<td key={shown.series[i]?.name} class="num">
										{v === null ? "–" : format(v)}
									</td>
								))}
							</tr>
						))}
				</tbody>
			</table>
		</div>
	);
}
