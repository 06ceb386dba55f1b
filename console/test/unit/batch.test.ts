import { FencingTokenMismatchError, RangeNotSatisfiableError, S2Error, SeqNumMismatchError } from "@s2-dev/streamstore";
import { describe, expect, test } from "vitest";
import { parseBatch } from "../../src/lib/batch";
import { describe as tell } from "../../src/lib/client";
import { readKey } from "../../src/lib/keys";

describe("batches", () => {
	test("a record a line, empty ones too, but for the last line break", () => {
		const read = parseBatch("a\n\nb\r\n", "lines");
		expect(read).toMatchObject([{ body: "a" }, { body: "" }, { body: "b" }]);
	});
	test("JSON a line", () => {
		expect(parseBatch('{"body":"x","headers":[["k","v"]],"timestamp":5}\n\n{}', "json")).toMatchObject([{ body: "x", headers: [["k", "v"]], timestamp: 5 }, { body: "" }]);
	});
	test.each([
		["", "There is no record."],
		["{", "Line 1: not JSON."],
		['{}\n{"bdy":1}', "Line 2: “bdy” is none of body, headers and timestamp."],
		['{"body":1}', "Line 1: body is not a string; quote the JSON that it holds."],
		['{"headers":[["k"]]}', "Line 1: headers are not pairs of strings."],
		['{"headers":[["","trim"]]}', "Line 1: a header needs a name."],
		['{"timestamp":-1}', "Line 1: timestamp is no whole number of milliseconds."],
	])("%j is refused", (text, problem) => expect(parseBatch(text, "json")).toBe(problem));
});

describe("failures in words", () => {
	test("of conditions and positions", () => {
		expect(tell(new SeqNumMismatchError({ message: "x", expectedSeqNum: 7 }))).toMatchObject({ code: "seq_num_mismatch", status: 412, message: expect.stringContaining("7") });
		expect(tell(new FencingTokenMismatchError({ message: "x", expectedFencingToken: "me" })).message).toContain("“me”");
		expect(tell(new RangeNotSatisfiableError({ tail: { seqNum: 3, timestamp: new Date(0) } })).message).toContain("the tail is 3");
	});
	test("of a session's last event, whose JSON the SDK hands on", () => {
		expect(tell(new S2Error({ message: '{"code":"authn","message":"revoked"}', status: 503 }))).toMatchObject({ code: "authn", message: "revoked" });
	});
	test("of a broker that does not answer", () => {
		expect(tell(new S2Error({ message: "Connection failed: NETWORK_ERROR", status: 502, origin: "sdk" })).code).toBe("unreachable");
		expect(tell(new TypeError("Failed to fetch")).code).toBe("unreachable");
	});
});

test("an encryption key is 32 bytes in Base64", () => {
	expect(readKey("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=")).toBe("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=");
	for (const text of ["", "c2Vj", "!"]) expect(readKey(text)).toBeUndefined();
});
