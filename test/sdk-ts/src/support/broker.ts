/** A weir process of one's own: started, killed and started again on the same store and port. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../freeport/freeport.mjs";

/** How long a broker may take until it answers, and until it is gone, in ms. */
const startLimit = 90_000;
const stopLimit = 20_000;

export class Broker {
	readonly endpoint: string;
	private process?: ChildProcess;
	private log = "";

	private constructor(
		private readonly binary: string,
		private readonly dir: string,
		private readonly port: number,
		private readonly flags: string[],
	) {
		this.endpoint = `${flags.includes("--http-tls-self") ? "https" : "http"}://127.0.0.1:${port}`;
	}

	/** Starts the binary, with flags of one's own too, on a free loopback port and a new store; acks mean: on disk. */
	static async start(binary: string, ...flags: string[]): Promise<Broker> {
		const dir = await mkdtemp(join(tmpdir(), "weir-sdk-"));
		const [port] = await freePorts(1);
		if (port === undefined) throw new Error("no port was given");
		const broker = new Broker(binary, dir, port, flags);
		try {
			await broker.restart();
		} catch (error) {
			await broker.stop();
			throw error;
		}
		return broker;
	}

	/** Starts the broker again, and returns when it answers. It must not run. */
	async restart(): Promise<void> {
		if (this.process) throw new Error("the broker runs already");
		const child = spawn(
			this.binary,
			[
				"serve",
				...["--store-dir", join(this.dir, "store")],
				...["--http-listen", `127.0.0.1:${this.port}`],
				...["--nats-listen", "none"],
				...["--durability", "group"],
				...["--lame-duck", "1s"],
				...this.flags,
			],
			// Settings of whoever runs the tests are not meant for this broker.
			{ env: withoutSettings(process.env), stdio: ["ignore", "pipe", "pipe"] },
		);
		this.process = child;
		const keep = (text: Buffer) => {
			this.log = (this.log + text.toString()).slice(-64 << 10);
		};
		child.stdout.on("data", keep);
		child.stderr.on("data", keep);
		child.once("error", (error) => keep(Buffer.from(`${error}\n`)));
		child.once("exit", () => {
			if (this.process === child) this.process = undefined;
		});
		await this.healthy(child);
	}

	/** kill -9, and returns when the process is gone. */
	async kill(): Promise<void> {
		await this.end("SIGKILL");
	}

	/** Ends the process as an operator does, and returns when it is gone. */
	async terminate(): Promise<void> {
		await this.end("SIGTERM");
	}

	/** Ends the process and removes its store. */
	async stop(): Promise<void> {
		await this.end("SIGTERM");
		await rm(this.dir, { recursive: true, force: true });
	}

	/** What the broker has printed lately. */
	output(): string {
		return this.log;
	}

	private async end(signal: NodeJS.Signals): Promise<void> {
		const child = this.process;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		child.kill(signal);
		const hard = setTimeout(() => child.kill("SIGKILL"), stopLimit);
		await gone;
		clearTimeout(hard);
		this.process = undefined;
	}

	private async healthy(child: ChildProcess): Promise<void> {
		const deadline = Date.now() + startLimit;
		while (Date.now() < deadline) {
			if (this.process !== child) throw new Error(`the broker did not start:\n${this.log}`);
			try {
				const answer = await fetch(`${this.endpoint}/health`);
				await answer.arrayBuffer();
				if (answer.ok) return;
			} catch {
				// Not listening yet.
			}
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		throw new Error(`the broker did not answer within ${startLimit} ms:\n${this.log}`);
	}
}

function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
	return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("WEIR_")));
}
