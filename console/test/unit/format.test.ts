import { describe, expect, test } from "vitest";
import { count, duration, fromInput, latency, localExact, relative, short, size, toInput, utcExact } from "../../src/lib/format";

describe("numbers", () => {
	test.each([[0, "0 B"], [1023, "1023 B"], [1024, "1.00 KiB"], [1536, "1.50 KiB"], [1048476, "1.00 MiB"], [1 << 20, "1.00 MiB"], [31.7 * 2 ** 20, "31.7 MiB"], [Number.NaN, "–"]])(
		"size of %d", (n, text) => expect(size(n)).toBe(text));
	test.each([[0, "0"], [9999, "9,999"], [12_345, "12.3k"], [999_499, "999k"], [4_560_000, "4.56M"], [0.25, "0.25"]])("short %d", (n, text) => expect(short(n)).toBe(text));
	test.each([[0, "0"], [0.0000123, "12.3 µs"], [0.0034, "3.40 ms"], [1.2, "1.20 s"]])("latency %d", (n, text) => expect(latency(n)).toBe(text));
	test("count", () => expect(count(1_000_000)).toBe("1,000,000"));
});

describe("times", () => {
	test.each([[0, "0 seconds"], [1, "1 second"], [90, "1 minute 30 seconds"], [604_800, "7 days"], [5400, "1 hour 30 minutes"], [86_401, "1 day"]])(
		"duration of %d s", (n, text) => expect(duration(n)).toBe(text));
	const now = Date.UTC(2026, 10, 29, 12);
	test.each([[0, "just now"], [-61_000, "1 minute ago"], [-7_200_000, "2 hours ago"], [3 * 86_400_000, "in 3 days"]])(
		"%d ms from now", (by, text) => expect(relative(now + by, now)).toBe(text));
	test("what is no date is said so", () => {
		expect(relative(Number.NaN)).toBe("at a time out of range");
		expect(utcExact(Number.NaN)).toBe("–");
		expect(localExact(8.64e15 + 1)).toBe("–");
	});
	test("an input's text is the time, in local time and UTC", () => {
		for (const utc of [true, false]) {
			expect(fromInput(toInput(now + 123, utc), utc)).toBe(now + 123);
		}
		expect(toInput(now, true)).toBe("2026-11-29T12:00:00.000");
		expect(fromInput("", true)).toBeNaN();
	});
});
