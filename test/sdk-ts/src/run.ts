/**
 * Runs the suite: starts the broker of WEIR_BIN, has node's test runner run every *.test.js against it, stops the
 * broker, prints the figures. With S2_BASIN_ENDPOINT set, that service is driven in place of a broker of one's own
 * (the tests that kill brokers still need WEIR_BIN).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Broker } from "./support/broker.js";
import { readFigures } from "./support/figures.js";

const binary = process.env["WEIR_BIN"];
if (!binary) throw new Error("WEIR_BIN must name the weir binary: use make test-sdk");

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const only = process.argv.slice(2);
const files = readdirSync(here)
	.filter((name) => name.endsWith(".test.js") && (only.length === 0 || only.some((part) => name.includes(part))))
	.map((name) => join(here, name));

const scratch = mkdtempSync(join(tmpdir(), "weir-sdk-run-"));
const figures = join(scratch, "figures");
const broker = process.env["S2_BASIN_ENDPOINT"] ? undefined : await Broker.start(resolve(binary));
let failed = true;
try {
	const env: NodeJS.ProcessEnv = {
		...process.env,
		...(broker && { S2_ACCOUNT_ENDPOINT: broker.endpoint, S2_BASIN_ENDPOINT: broker.endpoint }),
		S2_ACCESS_TOKEN: "ignored",
		WEIR_BIN: resolve(binary),
		WEIR_SDK_FIGURES: figures,
	};
	const args = ["--test", "--test-reporter=spec", ...files];
	const child = spawn(process.execPath, args, { env, stdio: ["ignore", "inherit", "inherit"] });
	const [status] = await once(child, "exit");
	failed = status !== 0;
} finally {
	await broker?.stop();
	process.stdout.write(`\nfigures of the SDK against ${broker ? "this broker" : process.env["S2_BASIN_ENDPOINT"]}:\n`);
	process.stdout.write(readFigures(figures));
	rmSync(scratch, { recursive: true, force: true });
	if (failed && broker) process.stderr.write(`\nthe broker's last words:\n${broker.output()}\n`);
}
process.exitCode = failed ? 1 : 0;
