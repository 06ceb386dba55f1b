import { describe, expect, test } from "vitest";
import { Look, parseMetrics, quantile, rate } from "../../src/lib/prom";

const text = (n: number, low: number, high: number) => `# HELP x of
# TYPE weir_append_records_total counter
weir_append_records_total{door="http"} ${n}
weir_append_records_total{door="nats"} 1e2
weir_append_seconds_bucket{door="http",le="0.001"} ${low}
weir_append_seconds_bucket{door="http",le="0.01"} ${high}
weir_append_seconds_bucket{door="http",le="+Inf"} ${high}
odd{a="x\\"y\\\\z\\n"} NaN
nonsense line here
`;

describe("metrics", () => {
	test("samples", () => {
		const samples = parseMetrics(text(5, 1, 2));
		expect(samples).toHaveLength(6);
		expect(samples[0]).toEqual({ name: "weir_append_records_total", labels: { door: "http" }, value: 5 });
		expect(samples.at(-1)?.labels["a"]).toBe('x"y\\z\n');
	});
	test("sums and rates", () => {
		const before = new Look(text(100, 0, 0), 0);
		const now = new Look(text(300, 0, 0), 2000);
		expect(now.sum("weir_append_records_total")).toBe(400);
		expect(now.sum("weir_append_records_total", { door: "nats" })).toBe(100);
		expect(now.sum("none")).toBeUndefined();
		expect(rate(before, now, "weir_append_records_total")).toBe(100);
		expect(rate(now, before, "weir_append_records_total")).toBeUndefined();
		expect(rate(undefined, now, "weir_append_records_total")).toBeUndefined();
	});
	test("a restart makes no negative rate", () => {
		expect(rate(new Look(text(300, 0, 0), 0), new Look(text(1, 0, 0), 1000), "weir_append_records_total")).toBeUndefined();
	});
	test("quantiles of what came between two looks", () => {
		const before = new Look(text(0, 50, 50), 0);
		const now = new Look(text(0, 50, 150), 1000);
		expect(quantile(0.5, before, now, "weir_append_seconds")).toBeCloseTo(0.0055);
		expect(quantile(0.5, now, now, "weir_append_seconds")).toBeUndefined();
	});
});
