import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/lib/bytes";
import { find, marks } from "../../src/lib/find";
import { commandText, fileName, keptBytes, Rec } from "../../src/lib/record";
import { RecordStore } from "../../src/lib/recordstore";

const rec = (seqNum: number, body = "x") => new Rec(seqNum, 0, [], utf8(body));
const range = (from: number, to: number, body = "x") => Array.from({ length: to - from }, (_, i) => rec(from + i, body));

describe("what a page holds", () => {
	test("stays within its bounds, whatever is scrolled by, and keeps what is near", () => {
		const store = new RecordStore({ records: 1000, bytes: 10 << 20 });
		for (let at = 0; at < 200_000; at += 500) {
			store.put(range(at, at + 500), at);
			expect(store.count).toBeLessThanOrEqual(1000);
			expect(store.missing(at, at + 100)).toBeUndefined();
		}
	});
	test("stays within its bytes", () => {
		const store = new RecordStore({ records: 1000, bytes: 100_000 });
		store.put(range(0, 100, "y".repeat(10_000)), 50);
		expect(store.bytes).toBeLessThanOrEqual(100_000);
		expect(store.get(50)).toBeDefined();
		store.clear();
		expect([store.count, store.bytes]).toEqual([0, 0]);
	});
	test("counts a record once that comes twice", () => {
		const store = new RecordStore();
		store.put(range(0, 10), 0);
		const { bytes } = store;
		store.put(range(0, 10), 0);
		expect([store.count, store.bytes]).toEqual([10, bytes]);
	});
	test("knows what is missing, and forgets what was trimmed", () => {
		const store = new RecordStore();
		store.put([...range(0, 5), ...range(7, 10)], 0);
		expect(store.missing(0, 5)).toBeUndefined();
		expect(store.missing(0, 10)).toBe(5);
		store.dropBelow(8);
		expect(store.sorted().map((r) => r.seqNum)).toEqual([8, 9]);
	});
	test("keeps the beginning of a large body, and its size", () => {
		const large = rec(1, "z".repeat(1 << 20));
		const kept = large.kept();
		expect([kept.whole, kept.body.length, kept.bodySize, kept.metered]).toEqual([false, keptBytes, 1 << 20, large.metered]);
		expect(kept.body.buffer.byteLength).toBe(keptBytes);
		expect(rec(1).kept().whole).toBe(true);
	});
});

describe("records", () => {
	const command = (name: string, body: Uint8Array) => new Rec(0, 0, [[new Uint8Array(), utf8(name)]], body);
	test("commands are told by their only header", () => {
		expect(command("fence", utf8("me")).command).toEqual({ kind: "fence", token: "me" });
		expect(command("trim", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 5)).command).toEqual({ kind: "trim", below: 5n });
		expect(command("other", utf8("")).command).toEqual({ kind: "other", name: "other" });
		expect(new Rec(0, 0, [[utf8("a"), utf8("fence")]], utf8("")).command).toBeNull();
		expect(rec(0).command).toBeNull();
		expect(commandText({ kind: "trim", below: 0xffff_ffff_ffff_ffffn })).toBe("trimmed everything");
	});
	test("the command that closes", () => {
		const { command } = new Rec(0, 0, [[utf8(""), utf8("close")]], utf8(""));
		expect(command).toEqual({ kind: "close" });
	});
	test("a preview is text, also where it cuts a character, or hex", () => {
		expect(rec(0, "😀".repeat(200)).preview).toBe("😀".repeat(100));
		expect(rec(0, `a${"😀".repeat(200)}`).preview).toBe(`a${"😀".repeat(99)}`);
		expect(new Rec(0, 0, [], Uint8Array.of(0xff, 1)).preview).toBe("0xff01");
	});
	test("metered bytes as S2 counts them", () => {
		expect(new Rec(0, 0, [[utf8("lang"), utf8("en")]], utf8("hello")).metered).toBe(8 + 2 + 6 + 5);
	});
	test("a file's name holds nothing of a path", () => {
		expect(fileName("demo-basin", "../../etc/<passwd>", 3)).toBe("demo-basin..._.._etc_passwd_.3.bin");
	});
});

describe("search", () => {
	test("finds in bodies and headers, upper and lower case alike", async () => {
		const records = [rec(1, "Hello"), rec(2, "world"), new Rec(3, 0, [[utf8("greeting"), utf8("HELLO")]], utf8(""))];
		expect(await find(records, "hello", new AbortController().signal)).toEqual([1, 3]);
	});
	test("marks what is sought", () => {
		expect(marks("abcABC", "bc")).toEqual([
			{ text: "a", hit: false },
			{ text: "bc", hit: true },
			{ text: "A", hit: false },
			{ text: "BC", hit: true },
		]);
		expect(marks("abc", "")).toEqual([{ text: "abc", hit: false }]);
	});
});
