/** Usage metrics made ready for charts. */
import type { MetricSetResponse } from "@s2-dev/streamstore";

export type RangeName = "1h" | "6h" | "1d" | "7d" | "30d";
export type Interval = "minute" | "hour" | "day";

export const ranges: Record<RangeName, number> = { "1h": 3600, "6h": 21_600, "1d": 86_400, "7d": 604_800, "30d": 2_592_000 };
export const intervals: Record<Interval, number> = { minute: 60, hour: 3600, day: 86_400 };

/** The interval that shows a range well: from 60 to a few hundred points where there is one. */
export function naturalInterval(range: RangeName): Interval {
	return range === "1h" || range === "6h" ? "minute" : range === "30d" ? "day" : "hour";
}

export type Plot = {
	unit: "bytes" | "operations";
	/** Sums of buckets, or sizes at instants. */
	sums: boolean;
	times: number[];
	series: Array<{ name: string; values: Array<number | null>; total: number }>;
};

/** The time that a query asks about: whole buckets, up to now. */
export function span(range: RangeName, now: number): { start: number; end: number } {
	const end = Math.floor(now / 1000) + 1;
	return { start: end - ranges[range], end };
}

/**
 * The series of an answer over common times. Buckets without data are left out of an answer: in sums they are zero, and a
 * size stays what it was.
 */
export function plot(answer: MetricSetResponse, start: number, end: number): Plot {
	const sums: Array<{ name: string; step: number; unit: string; points: Map<number, number> }> = [];
	const sizes: Array<{ name: string; unit: string; points: Array<[number, number]> }> = [];
	for (const metric of answer.values) {
		if ("accumulation" in metric) {
			const { name, interval, unit, values } = metric.accumulation;
			sums.push({ name, unit, step: intervals[interval as Interval] ?? 60, points: new Map(values.map(([at, v]) => [at.getTime() / 1000, v])) });
		} else if ("gauge" in metric) {
			const { name, unit, values } = metric.gauge;
			sizes.push({ name, unit, points: values.map(([at, v]) => [at.getTime() / 1000, v]) });
		}
	}
	if (sizes.length > 0) {
		const times = [...new Set(sizes.flatMap((s) => s.points.map(([at]) => at)))].sort((a, b) => a - b);
		if (times.length > 0 && (times.at(-1) ?? 0) < end) times.push(end);
		return {
			unit: sizes[0]?.unit === "bytes" ? "bytes" : "operations",
			sums: false,
			times,
			series: sizes.map((s) => {
				const at = new Map(s.points);
				let last: number | null = null;
				const values = times.map((t) => (last = at.get(t) ?? last));
				return { name: s.name, values, total: last ?? 0 };
			}),
		};
	}
	const step = sums[0]?.step ?? 60;
	const times: number[] = [];
	for (let t = Math.ceil(start / step) * step; t < end; t += step) times.push(t);
	return {
		unit: sums[0]?.unit === "bytes" ? "bytes" : "operations",
		sums: true,
		times,
		series: sums
			.map((s) => ({
				name: s.name,
				values: times.map((t) => s.points.get(t) ?? 0),
				total: [...s.points.values()].reduce((a, b) => a + b, 0),
			}))
			.filter((s) => s.total > 0)
			.sort((a, b) => b.total - a.total),
	};
}

/** The labels of an answer, such as the active basins. */
export function labels(answer: MetricSetResponse): string[] {
	return answer.values.flatMap((metric) => ("label" in metric ? metric.label.values : []));
}
