import { describe, expect, test } from "vitest";
import { labels, plot, span } from "../../src/lib/usage";

const at = (s: number) => new Date(s * 1000);

describe("usage", () => {
	test("buckets that are left out are zero", () => {
		const shown = plot({ values: [{ accumulation: { name: "a", unit: "operations", interval: "minute", values: [[at(120), 5]] } }] }, 60, 300);
		expect(shown).toEqual({ unit: "operations", sums: true, times: [60, 120, 180, 240], series: [{ name: "a", values: [0, 5, 0, 0], total: 5 }] });
	});
	test("series that hold nothing are left out, the largest comes first", () => {
		const series = (name: string, n: number) => ({ accumulation: { name, unit: "bytes" as const, interval: "hour" as const, values: n ? [[at(0), n] as [Date, number]] : [] } });
		expect(plot({ values: [series("none", 0), series("less", 1), series("more", 2)] }, 0, 3600).series.map((s) => s.name)).toEqual(["more", "less"]);
	});
	test("a size stays what it was", () => {
		const shown = plot({ values: [{ gauge: { name: "storage", unit: "bytes", values: [[at(60), 7], [at(180), 9]] } }] }, 0, 300);
		expect(shown).toMatchObject({ unit: "bytes", sums: false, times: [60, 180, 300], series: [{ values: [7, 9, 9], total: 9 }] });
	});
	test("labels", () => expect(labels({ values: [{ label: { name: "active_basins", values: ["a", "b"] } }] })).toEqual(["a", "b"]));
	test("a span ends behind now", () => expect(span("1h", 7_200_500)).toEqual({ start: 3601, end: 7201 }));
});
