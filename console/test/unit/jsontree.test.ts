import { describe, expect, test } from "vitest";
import { type Json, parseJson } from "../../src/lib/jsontree";

function plain(value: Json): unknown {
	switch (value.kind) {
		case "text":
			return value.value;
		case "word":
			return JSON.parse(value.value);
		case "list":
			return value.items.map(plain);
		case "object":
			return Object.fromEntries(value.members.map(([name, member]) => [name, plain(member)]));
	}
}

describe("JSON", () => {
	const good = ["{}", "[]", "0", "-1.5e+3", "true", "null", '"a\\"\\u00e9\\\\"', ' { "a" : [ 1 , {"b":null} ] } ', '[[[]]]', '{"":""}', "1E5"];
	test.each(good)("reads as JavaScript does: %s", (text) => {
		const value = parseJson(text);
		expect(value).not.toBeNull();
		expect(plain(value as Json)).toEqual(JSON.parse(text));
	});
	const bad = ["", "{", "[1,]", "{'a':1}", "01", "+1", "1.", ".5", "nul", '"a', '"\n"', "[1 2]", '{"a" 1}', "{a:1}", "1 2", "NaN", '"\\x"', "[1}"];
	test.each(bad)("refuses: %s", (text) => {
		expect(parseJson(text)).toBeNull();
		expect(() => JSON.parse(text)).toThrow();
	});
	test("keeps numbers as they are written", () => {
		expect(parseJson("12345678901234567890")).toEqual({ kind: "word", value: "12345678901234567890" });
	});
	test("keeps names that are there twice, in their order", () => {
		expect(parseJson('{"b":1,"a":2,"b":3,"__proto__":4}')).toMatchObject({ members: [["b", {}], ["a", {}], ["b", {}], ["__proto__", {}]] });
	});
	test("gives up on what is too deep", () => {
		expect(parseJson("[".repeat(100_000) + "]".repeat(100_000))).toBeNull();
	});
	test("agrees with JavaScript on random text", () => {
		let seed = 42;
		const random = (n: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % n;
		const tokens = ["{", "}", "[", "]", ",", ":", '"a"', '"\\n"', "1", "-0", "1e2", "true", "null", " ", "x"];
		for (let i = 0; i < 20_000; i++) {
			const text = Array.from({ length: 1 + random(8) }, () => tokens[random(tokens.length)]).join("");
			let known: unknown;
			try {
				known = JSON.parse(text);
			} catch {
				known = undefined;
			}
			const value = parseJson(text);
			if (known === undefined) expect(value, text).toBeNull();
			else expect(value && plain(value), text).toEqual(known);
		}
	});
});
