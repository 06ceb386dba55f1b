/** The text format of Prometheus, and what can be read from two looks at it. */

export type Sample = { name: string; labels: Record<string, string>; value: number };

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads the samples of an answer of /metrics. Lines that are none are left out. */
export function parseMetrics(text: string): Sample[] {
	const out: Sample[] = [];
	for (const row of text.split("\n")) {
		if (row === "" || row.startsWith("#")) continue;
		const match = line.exec(row);
		if (!match?.[1]) continue;
		const labels: Record<string, string> = {};
		for (const [, name, value] of (match[2] ?? "").matchAll(label)) {
			if (name !== undefined && value !== undefined) labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
		}
		const told = match[3] ?? "";
		const value = told === "+Inf" ? Number.POSITIVE_INFINITY : told === "-Inf" ? Number.NEGATIVE_INFINITY : Number(told);
		out.push({ name: match[1], labels, value });
	}
	return out;
}

/** One look at the metrics. */
export class Look {
	private readonly byName = new Map<string, Sample[]>();

	constructor(
		text: string,
		/** When, in ms. */
		readonly at: number,
	) {
		for (const sample of parseMetrics(text)) {
			const list = this.byName.get(sample.name);
			if (list) list.push(sample);
			else this.byName.set(sample.name, [sample]);
		}
	}

	all(name: string): Sample[] {
		return this.byName.get(name) ?? [];
	}

	/** The sum of a metric over all labels, or those given; undefined if it is not shown. */
	sum(name: string, labels: Record<string, string> = {}): number | undefined {
		const samples = this.all(name).filter((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v));
		return samples.length === 0 ? undefined : samples.reduce((sum, s) => sum + s.value, 0);
	}

	/** The cumulative buckets of a histogram, summed over its other labels: upper bound and count, rising. */
	buckets(name: string): Array<[le: number, count: number]> {
		const out = new Map<number, number>();
		for (const { labels, value } of this.all(`${name}_bucket`)) {
			const le = labels["le"] === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels["le"]);
			out.set(le, (out.get(le) ?? 0) + value);
		}
		return [...out].sort(([a], [b]) => a - b);
	}
}

/** How much a counter grew a second between two looks; undefined without both, or when it began anew. */
export function rate(before: Look | undefined, now: Look, name: string, labels: Record<string, string> = {}): number | undefined {
	if (!before) return undefined;
	const seconds = (now.at - before.at) / 1000;
	const grown = (now.sum(name, labels) ?? 0) - (before.sum(name, labels) ?? 0);
	return seconds > 0 && grown >= 0 ? grown / seconds : undefined;
}

/** A quantile of what a histogram took between two looks, as Prometheus estimates it; undefined if it took nothing. */
export function quantile(q: number, before: Look | undefined, now: Look, name: string): number | undefined {
	const was = new Map(before?.buckets(name));
	const grown = now.buckets(name).map(([le, n]) => [le, n - (was.get(le) ?? 0)] as const);
	const total = grown.at(-1)?.[1] ?? 0;
	if (total <= 0) return undefined;
	const rank = q * total;
	let low = 0;
	let below = 0;
	for (const [le, n] of grown) {
		if (n >= rank) {
			if (le === Number.POSITIVE_INFINITY) return low;
			return low + (le - low) * (n === below ? 1 : (rank - below) / (n - below));
		}
		low = le;
		below = n;
	}
	return undefined;
}
