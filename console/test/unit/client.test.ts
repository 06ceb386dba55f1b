import { S2Error } from "@s2-dev/streamstore";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { describe as read, uncertain } from "../../src/lib/client";

describe("what a failure leaves open", () => {
	test("as docs/http-api.md has it, for each code", () => {
		const page = readFileSync(new URL("../../../docs/http-api.md", import.meta.url), "utf8");
		const rows = [...page.matchAll(/^\| (`[a-z_`, ]+`) \| \d{3} \| (?:yes|no) \| (yes|no) \|/gm)];
		expect(rows.length).toBeGreaterThan(15);
		for (const [, codes, clean] of rows) {
			for (const code of (codes ?? "").replaceAll("`", "").split(", ")) {
				const failure = read(new S2Error({ message: "m", code, status: 400, origin: "server" }));
				expect(uncertain(failure), code).toBe(clean === "no");
			}
		}
	});
	test("an answer of a proxy, and none at all", () => {
		expect(uncertain(read(new S2Error({ message: "Bad Gateway", status: 502, origin: "server" })))).toBe(true);
		expect(uncertain(read(new TypeError("Failed to fetch")))).toBe(true);
	});
});
