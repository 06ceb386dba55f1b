import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Call, snippet } from "../../src/lib/snippets";
import { binary, setup, texts } from "./support";

const t = setup({ flags: ["--nats-listen", "127.0.0.1:0"] });
const run = promisify(execFile);
const bin = mkdtempSync(join(tmpdir(), "weir-bin-"));
symlinkSync(binary, join(bin, "weir"));
afterAll(() => rmSync(bin, { recursive: true, force: true }));

const names = ["orders", "a/b", "it's $(here)", "😀/x y"];
let nats = "";

beforeAll(async () => {
	await t.s2().basins.create({ basin: "demo-basin", config: { createStreamOnAppend: true } });
	for (const name of names) await t.s2().basin("demo-basin").stream(name).append(texts("zero", "one", "two"));
	const session = (await (await fetch(`${t.broker().endpoint}/dashboard/session`)).json()) as { nats_url: string };
	nats = session.nats_url;
});

const calls: Call[] = [
	{ kind: "list-basins" },
	{ kind: "list-streams", basin: "demo-basin" },
	{ kind: "basin-config", basin: "demo-basin" },
	{ kind: "list-tokens" },
	{ kind: "usage" },
	{ kind: "usage", basin: "demo-basin" },
	...names.flatMap((stream): Call[] => [
		{ kind: "stream-config", basin: "demo-basin", stream },
		{ kind: "append", basin: "demo-basin", stream },
		{ kind: "read", basin: "demo-basin", stream, from: { seqNum: 1 } },
		{ kind: "read", basin: "demo-basin", stream, from: { last: 2 } },
		{ kind: "usage", basin: "demo-basin", stream },
		{ kind: "trim", basin: "demo-basin", stream },
	]),
];

/** Runs a snippet as a shell does; what fails in it fails the test. */
async function shell(script: string): Promise<string> {
	const { stdout } = await run("sh", ["-e", "-c", script], {
		env: { PATH: `${bin}:${process.env["PATH"] ?? ""}`, HOME: bin },
		timeout: 200_000,
	});
	return stdout;
}

describe("the snippets that the console shows do what they say", () => {
	test.each(calls)("weir: $kind $stream", async (call) => {
		const text = snippet("weir", call, { http: t.broker().endpoint, nats, checked: false });
		expect(text).not.toBeNull();
		const out = await shell(text ?? "");
		if (call.kind === "read") expect(out).toContain("two");
		if (call.kind === "list-basins") expect(out).toContain("demo-basin");
	});
	test.each(calls)("curl: $kind $stream", async (call) => {
		const text = snippet("curl", call, { http: t.broker().endpoint, nats, checked: false });
		expect(text).not.toBeNull();
		const out = await shell((text ?? "").replaceAll("curl ", "curl -sS --fail "));
		if (call.kind === "read") expect(out).toMatch(/"body":"(?:two|hello)"/);
		if (call.kind === "trim") expect(out).toContain('"tail"');
	});
	// A read session of the SDK follows for ever; the others end.
	test.each(calls.filter((call) => call.kind !== "read"))("TypeScript: $kind $stream", async (call) => {
		const text = snippet("TypeScript", call, { http: t.broker().endpoint, nats, checked: false });
		expect(text).not.toBeNull();
		const { stdout } = await run(process.execPath, ["--input-type=module", "-e", text ?? ""], { timeout: 200_000 });
		if (call.kind === "append") expect(stdout).toContain("seqNum");
		if (call.kind === "list-basins") expect(stdout).toContain("demo-basin");
	});
});
