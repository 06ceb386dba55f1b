import { describe, expect, test } from "vitest";
import { changes, join, problems, split, streamForm, streamLines, toNewStreamConfig, toStreamConfig } from "../../src/lib/config";

describe("forms of a configuration", () => {
	test("say nothing where nothing is set", () => {
		const form = streamForm(null);
		expect(toStreamConfig(form)).toEqual({ storageClass: null, retentionPolicy: null, timestamping: null, deleteOnEmpty: null, expiry: null, contentType: null });
		expect(toNewStreamConfig(form)).toEqual({});
		expect(streamLines(null).every((line) => line.inherited)).toBe(true);
	});
	test("give back what they were made of", () => {
		const config = {
			storageClass: "standard" as const,
			retentionPolicy: { ageSecs: 7200 },
			timestamping: { mode: "arrival" as const, uncapped: false },
			deleteOnEmpty: { minAgeSecs: 90 },
			expiry: { idleSecs: 1800, at: "2030-01-31T12:00:00Z" },
			contentType: "application/json",
		};
		expect(toStreamConfig(streamForm(config))).toEqual(config);
		expect(changes(toStreamConfig(streamForm(config)), toStreamConfig(streamForm(config)))).toEqual({});
		expect(streamLines(config).map((line) => line.value)).toEqual(["standard", "2 hours", "arrival", "no", "after 1 minute 30 seconds", "when not used for 30 minutes, at 2030-01-31T12:00:00Z", "application/json"]);
	});
	test("a change says only what is different, and null where it is unset", () => {
		const before = toStreamConfig(streamForm({ retentionPolicy: { infinite: {} }, storageClass: "express" }));
		const after = toStreamConfig({ ...streamForm({ storageClass: "express" }), retention: "" });
		expect(changes(before, after)).toEqual({ retentionPolicy: null });
	});
	test("a new stream says a mode alone", () => {
		expect(toNewStreamConfig({ ...streamForm(null), mode: "arrival" })).toEqual({ timestamping: { mode: "arrival" } });
	});
	test("an expiry that is no idle time is kept, and taken away", () => {
		const at = { expiry: { at: "2030-01-31T12:00:00Z" } };
		expect(toStreamConfig(streamForm(at)).expiry).toEqual(at.expiry);
		expect(changes(toStreamConfig(streamForm(at)), toStreamConfig({ ...streamForm(at), expiry: "never" }))).toEqual({ expiry: {} });
		expect(streamForm({ expiry: {} }).expiry).toBe("never");
		expect(problems({ ...streamForm(null), expiry: "idle", idle: "0" })).toHaveProperty("idle");
		expect(problems({ ...streamForm(null), contentType: "ä" })).toHaveProperty("contentType");
	});
	test("times with units", () => {
		expect(split(604_800)).toEqual({ n: "7", unit: "days" });
		expect(split(90)).toEqual({ n: "90", unit: "seconds" });
		expect(join("1.5", "hours", 1)).toBe(5400);
		for (const text of ["", "0", "-1", "x", "0.0001", "1e3"]) expect(join(text, "days", 1)).toBeNaN();
		expect(problems({ ...streamForm(null), retention: "age", age: "0" })).toHaveProperty("age");
		expect(problems(streamForm(null))).toEqual({});
	});
});
