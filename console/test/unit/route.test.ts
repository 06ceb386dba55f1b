import { describe, expect, test } from "vitest";
import { href, parse, type Route } from "../../src/lib/route";
import { formatStart, parseStart, type Start, wholeNumber } from "../../src/lib/start";

const names = ["orders", "a/b", "../x", "a%2Fb", "%", "?#&=+", "😀", "<script>alert(1)</script>", "\u202e", " ", "a\\b", "x".repeat(512), "\"'`"];

/** What a browser makes of an address. */
function visit(address: string): Route {
	const url = new URL(address, "http://broker.example");
	return parse(url.pathname, url.searchParams);
}

describe("addresses", () => {
	test.each(names)("lead back to the stream %j", (stream) => {
		const route: Route = { page: "stream", basin: "demo-basin", stream };
		expect(visit(href(route, { tab: "append", at: "seq:7" }))).toEqual(route);
	});
	test.each(["basins", "usage", "broker", "tokens"] as const)("lead back to %s", (page) => {
		expect(visit(href({ page }))).toEqual({ page });
		expect(visit(`/dashboard/${page}/`)).toEqual({ page });
	});
	test("a prefix of any characters", () => {
		for (const prefix of names) {
			const url = new URL(href({ page: "basin", basin: "demo-basin" }, { prefix }), "http://broker.example");
			expect(url.searchParams.get("prefix")).toBe(prefix);
			expect(parse(url.pathname, url.searchParams)).toEqual({ page: "basin", basin: "demo-basin" });
		}
	});
	test.each(["/dashboard/none", "/dashboard/basins/x/y", "/dashboard/basins/x/stream", "/dashboard/basins/%ff"])("%s leads nowhere", (path) => {
		expect(visit(path)).toEqual({ page: "missing", path });
	});
});

describe("where reading starts", () => {
	const starts: Start[] = [{ kind: "live" }, { kind: "last", n: 100 }, { kind: "seq", seqNum: 0 }, { kind: "time", ms: 1_795_963_076_076 }];
	test.each(starts)("$kind", (start) => expect(parseStart(formatStart(start))).toEqual(start));
	test.each([null, "", "seq", "seq:", "seq:-1", "seq:x", "seq:99999999999999999999", "none:1"])("%j is live", (text) => {
		expect(parseStart(text)).toEqual({ kind: "live" });
	});
	test.each([["12", 12], ["1,234,567", 1_234_567], [" 7 ", 7], ["", undefined], ["-1", undefined], ["1.5", undefined], ["1e3", undefined], ["99999999999999999", undefined]])(
		"the number %j", (text, n) => expect(wholeNumber(text)).toBe(n));
});
