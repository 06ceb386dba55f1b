/** Three brokers that are one, on the Broker page. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePorts } from "../../../test/freeport/freeport.mjs";
import { Broker } from "../../../test/sdk-ts/src/support/broker";
import { binary, drawing, pictures, setup, texts, tooWide, violations } from "./support";

const dir = mkdtempSync(join(tmpdir(), "weir-console-cluster-"));
let peers: Broker[] = [];
let flags: string[] = [];
const t = setup({ start: async () => {
	writeFileSync(join(dir, "secret"), "secret-of-the-console-tests", { mode: 0o600 });
	const ports = await freePorts(3);
	const listen = ports.map((port) => `127.0.0.1:${port}`);
	flags = ["--cluster-name", "demo", "--cluster-peers", listen.join(","), "--cluster-secret-file", join(dir, "secret"), "--logs", "2", "--durability", "always", "--nats-listen", "127.0.0.1:0"];
	const [first, ...others] = await Promise.all(listen.map((at, i) => Broker.start(binary, ...flags, "--cluster-listen", at, "--nats-server-name", `node-${i + 1}`)));
	if (!first) throw new Error("no broker was started");
	peers = others;
	return first;
} });

afterAll(async () => {
	await Promise.all(peers.map((broker) => broker.stop()));
	rmSync(dir, { recursive: true, force: true });
});

beforeAll(async () => {
	await t.s2().basins.create({ basin: "demo-basin", config: { createStreamOnAppend: true } });
	for (let i = 0; i < 8; i++) await t.s2().basin("demo-basin").stream(`s${i}`).append(texts("hello"));
});

test("the Broker page of a node shows all nodes, and the leader and copies of each log", async () => {
	for (const shape of [{ width: 1280, height: 1100 }, { width: 320, height: 900, dark: true }]) {
		const page = await t.open("/dashboard/broker", shape);
		const card = page.getByRole("region", { name: "Cluster demo" });
		for (const name of ["node-1", "node-2", "node-3"]) await card.getByRole("rowheader", { name }).waitFor();
		await expect.poll(async () => await card.getByText("online", { exact: true }).count()).toBe(3);
		await card.getByText("this one").waitFor();
		await card.getByRole("rowheader", { name: /^S2_LOG_/ }).first().waitFor();
		await expect.poll(() => violations(page)).toEqual([]);
		await expect.poll(() => tooWide(page)).toBeLessThanOrEqual(0);
		if (drawing) await page.screenshot({ path: `${pictures}cluster${shape.dark ? "-small-dark" : ""}.png` });
	}
});

test("a node that is lost is shown as offline", async () => {
	const page = await t.open("/dashboard/broker");
	const card = page.getByRole("region", { name: "Cluster demo" });
	await card.getByRole("rowheader", { name: /^S2_LOG_/ }).first().waitFor();
	await peers[1]?.kill();
	await card.getByRole("row").filter({ hasText: "node-3" }).getByText("offline").first().waitFor();
});
