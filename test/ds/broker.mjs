// Starts and kills brokers on a free loopback port.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../freeport/freeport.mjs";

const { WEIR_BIN: weir = "../../bin/weir", ...env } = process.env; // a broker takes WEIR_... for settings
export const basin = "durable-streams";

export async function newBroker() {
	const dir = mkdtempSync(join(tmpdir(), "weir-ds-"));
	const init = join(dir, "init.json");
	writeFileSync(init, JSON.stringify({ basins: [{ name: basin }] }));
	const [port, own] = await freePorts(2); // own is of the protocol alone
	const url = `http://127.0.0.1:${port}`;
	let child;
	const broker = {
		url,
		streams: `${url}/ds/${basin}`,
		ownStreams: `http://127.0.0.1:${own}`,
		async start() {
			child = spawn(weir, ["serve", "--store-dir", join(dir, "store"), "--http-listen", `127.0.0.1:${port}`, "--nats-listen", "none",
				"--durable-streams-listen", `127.0.0.1:${own}`, "--durable-streams-basin", basin,
				"--init-file", init, "--http-cors-origins", "https://example.com", "--lame-duck", "0s"], { stdio: ["ignore", "ignore", "inherit"], env });
			const gone = new Promise((_, reject) => child.once("exit", (code) => reject(new Error(`the broker ended: ${code}`))));
			gone.catch(() => {});
			const ready = (async () => {
				for (;;) {
					const up = await fetch(`${url}/health`).then((answer) => answer.ok, () => false);
					if (up) return;
					await new Promise((later) => setTimeout(later, 50));
				}
			})();
			await Promise.race([ready, gone]);
		},
		async end(signal) {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const gone = new Promise((exited) => child.once("exit", exited));
			child.kill(signal);
			await gone;
		},
		remove() {
			rmSync(dir, { recursive: true, force: true });
		},
	};
	await broker.start();
	return broker;
}
