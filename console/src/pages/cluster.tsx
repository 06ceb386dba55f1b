/** The cluster that the broker is a node of: its nodes, and which of them leads which log. */
import { useEffect } from "preact/hooks";
import { type Cluster as Facts, cluster } from "../lib/byhand";
import { count } from "../lib/format";
import { useLoad } from "../lib/load";
import { Failed } from "../ui/kit";

const every = 5000;

/** Nothing where there is no cluster. */
export function Cluster() {
	const facts = useLoad((signal) => cluster(signal), []);
	const { data, loading, reload } = facts;
	const alone = data?.name === "";
	useEffect(() => {
		if (alone || loading) return;
		const timer = setTimeout(() => {
			if (document.visibilityState === "visible") reload();
		}, every);
		return () => clearTimeout(timer);
	}, [alone, loading, reload, data]);
	if (alone || (!data && !facts.error)) return null;
	return (
		<section class="card" aria-labelledby="cluster">
			<h2 id="cluster">Cluster {data?.name}</h2>
			{facts.error && <Failed error={facts.error} retry={reload} />}
			{data && <Nodes facts={data} />}
			{data && (data.logs.length > 0 ? <Logs facts={data} /> : <p class="quiet">There is no log yet, or no leader answers. The first append makes one.</p>)}
		</section>
	);
}

function Nodes({ facts }: { facts: Facts }) {
	const led = (name: string) => facts.logs.filter((log) => log.leader === name).length;
	return (
		<div class="table-wrap flat" tabIndex={0} role="region" aria-label="Nodes, as a table">
			<table>
				<thead>
					<tr>
						<th scope="col">Node</th>
						<th scope="col">State</th>
						<th scope="col" class="num">
							Leads logs
						</th>
					</tr>
				</thead>
				<tbody>
					{facts.nodes.map((node) => (
						<tr key={node.name}>
							<th scope="row">
								{node.name} {node.this && <span class="tag">this one</span>}
							</th>
							<td>
								<span class="entry">
									<span class={node.online ? "dot" : "dot bad"} /> {node.online ? "online" : "offline"}
								</span>
							</td>
							<td class="num">{count(led(node.name))}</td>
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

function Logs({ facts }: { facts: Facts }) {
	return (
		<>
			<div class="table-wrap flat" tabIndex={0} role="region" aria-label="Logs, as a table">
				<table>
					<thead>
						<tr>
							<th scope="col">Log</th>
							<th scope="col">Leader</th>
							<th scope="col">Copies</th>
						</tr>
					</thead>
					<tbody>
						{facts.logs.map((log) => (
							<tr key={log.log}>
								<th scope="row">{log.log}</th>
								<td>{log.leader || <span class="tag warn">none is elected</span>}</td>
								<td>
									{log.copies.map((copy) => (
										<div key={copy.node}>
											{copy.node} {copyState(copy, facts)}
										</div>
									))}
								</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
			<p class="hint">
				The leader of a log takes its appends and has them on most nodes before they are acknowledged. A log is missing while no leader answers.
			</p>
		</>
	);
}

function copyState(copy: Facts["logs"][number]["copies"][number], facts: Facts) {
	if (copy.offline || facts.nodes.some((node) => node.name === copy.node && !node.online)) return <span class="tag bad">offline</span>;
	if (copy.current) return null;
	return <span class="tag warn">{copy.lag > 0 ? `${count(copy.lag)} behind` : "catching up"}</span>;
}
