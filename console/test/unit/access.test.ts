import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { matches, operations, permits, type Scope } from "../../src/lib/session";

const none: Scope = { basins: null, streams: null, access_tokens: null, op_groups: null, ops: [] };

describe("what a token allows", () => {
	test("names", () => {
		expect(matches(null, "a")).toBe(false);
		expect(matches({ exact: "" }, "")).toBe(false);
		expect(matches({ exact: "a" }, "a")).toBe(true);
		expect(matches({ exact: "a" }, "ab")).toBe(false);
		expect(matches({ prefix: "" }, "anything")).toBe(true);
		expect(matches({ prefix: "logs/" }, "logs/1")).toBe(true);
		expect(matches({ prefix: "logs/" }, "logs")).toBe(false);
	});
	test("operations, by group and by name", () => {
		const reader: Scope = { ...none, op_groups: { stream: { read: true, write: false } }, ops: ["append"] };
		expect(permits(reader, "read")).toBe(true);
		expect(permits(reader, "append")).toBe(true);
		expect(permits(reader, "trim")).toBe(false);
		expect(permits(reader, "list-basins")).toBe(false);
	});
	test("both have to hold", () => {
		const scope: Scope = { ...none, basins: { exact: "demo-basin" }, streams: { prefix: "a/" }, ops: ["read"] };
		expect(permits(scope, "read", { basin: "demo-basin", stream: "a/1" })).toBe(true);
		expect(permits(scope, "read", { basin: "demo-basin", stream: "b" })).toBe(false);
		expect(permits(scope, "read", { basin: "other-basin", stream: "a/1" })).toBe(false);
		expect(permits(none, "read", {})).toBe(false);
	});
	test("the operations of each group are those of the documentation", () => {
		const page = readFileSync(new URL("../../../docs/access-control.md", import.meta.url), "utf8");
		const known = new Map<string, string>();
		for (const [, ops, group, half] of page.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \| (account|basin|stream), (read|write) \|/gm)) {
			for (const [, op] of (ops ?? "").matchAll(/`([a-z-]+)`/g)) known.set(op ?? "", `${group}, ${half}`);
		}
		expect(known.size).toBeGreaterThan(20);
		const ours = new Map<string, string>();
		for (const [group, halves] of Object.entries(operations)) {
			for (const [half, ops] of Object.entries(halves)) for (const op of ops) ours.set(op, `${group}, ${half}`);
		}
		expect(ours).toEqual(known);
	});
});
