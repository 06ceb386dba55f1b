import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Call, callOf, languages, quote, quoteWide, shell, snippet, subjectOf } from "../../src/lib/snippets";

const odd = ["it's", '"q"', "$(id)", "`id`", "a b", "a\nb", "\\", "😀", "../x", "-n", "\u2028", "%2F"];
const place = { http: "http://127.0.0.1:8080", nats: "nats://127.0.0.1:4222", checked: false };

describe("quoting", () => {
	test.each(odd)("a shell gets %j as it is", (text) => {
		expect(execFileSync("sh", ["-c", `printf %s. ${shell(text)}`]).toString()).toBe(`${text}.`);
	});
	test.each(odd)("JavaScript gets %j as it is", (text) => {
		expect(JSON.parse(quote(text))).toBe(text);
	});
	test("Go and Python get characters beyond U+FFFF whole", () => {
		expect(quoteWide('😀"\\\n')).toBe('"\\U0001f600\\"\\\\\\u000a"');
	});
	test("subjects of NATS, as the broker spells them", () => {
		const known: Record<string, string> = { "user/42/chat": "user.42.chat", "v1.0/log": "v1%2E0.log", "a//b": "a.%.b", "../x": "%2E%2E.x", "$SYS/a$": "%24SYS.a$", "a b*>%": "a%20b%2A%3E%25", "😀": "😀", "": "%", "\u00a0": "%C2%A0" };
		for (const [name, subject] of Object.entries(known)) expect(subjectOf(name)).toBe(subject);
	});
});

describe("snippets", () => {
	const stream = { basin: "demo-basin", stream: "it's/a $(test)" };
	const calls: Call[] = [
		{ kind: "list-basins" },
		{ kind: "list-streams", basin: "demo-basin" },
		{ kind: "basin-config", basin: "demo-basin" },
		{ kind: "read", ...stream, from: null },
		{ kind: "read", ...stream, from: { seqNum: 5 } },
		{ kind: "append", ...stream },
		{ kind: "trim", ...stream },
		{ kind: "stream-config", ...stream },
		{ kind: "usage", ...stream },
		{ kind: "usage" },
		{ kind: "list-tokens" },
		{ kind: "health" },
	];
	test("of shells are syntax that a shell takes", () => {
		for (const call of calls) {
			for (const language of ["curl", "s2", "weir", "nats"] as const) {
				const text = snippet(language, call, place);
				if (text !== null) execFileSync("sh", ["-n", "-c", text]);
			}
		}
	});
	test("never hold an access token", () => {
		for (const call of calls) {
			for (const language of languages) expect(snippet(language, call, { ...place, checked: true }) ?? "").not.toContain("weir_");
		}
	});
	test("of Go name what the package protocol has", () => {
		const source = readFileSync(new URL("../../../protocol/read.go", import.meta.url), "utf8");
		for (const from of [null, { seqNum: 1 }, { ms: 1 }, { last: 1 }]) {
			const [, name] = /protocol\.(From\w+)\(/.exec(snippet("Go", { kind: "read", ...stream, from }, place) ?? "") ?? [];
			expect(source).toContain(`func ${name}(`);
		}
	});
	test("go by the page", () => {
		expect(callOf({ page: "stream", ...stream }, "records", "seq:7")).toEqual({ kind: "read", ...stream, from: { seqNum: 7 } });
		expect(callOf({ page: "stream", ...stream }, "append", null)).toMatchObject({ kind: "append" });
		expect(callOf({ page: "basin", basin: "demo-basin" }, "streams", null)).toMatchObject({ kind: "list-streams" });
	});
	test("without a port for NATS there is none for it", () => {
		expect(snippet("nats", { kind: "list-basins" }, { ...place, nats: "" })).toBeNull();
		expect(snippet("Go", { kind: "list-basins" }, { ...place, nats: "" })).toBeNull();
	});
});
