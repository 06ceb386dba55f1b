import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { S2 } from "@s2-dev/streamstore";
import { Broker } from "./support/broker.js";
import { bodies, limit, numbered, once, take, unhurried, uniqueName } from "./support/client.js";

// The certificate is the broker's own. Test files are processes of their own, so this holds for this file only.
process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";

for (const transport of ["s2s", "fetch"] as const) {
	describe(`TLS with a self-signed certificate, over ${transport}`, limit, () => {
		let broker: Broker;
		before(async () => {
			const binary = process.env["WEIR_BIN"];
			assert.ok(binary, "WEIR_BIN is not set: run the suite with make test-sdk");
			broker = await Broker.start(binary, "--http-tls-self");
		});
		after(() => broker?.stop());

		test("requests and sessions", async () => {
			const endpoints = { account: broker.endpoint, basin: broker.endpoint };
			const s2 = new S2({ accessToken: "ignored", endpoints, ...unhurried, retry: once });
			const basin = uniqueName("tls");
			await s2.basins.create({ basin });
			await s2.basin(basin).streams.create({ stream: "s" });
			await using stream = s2.basin(basin).stream("s", { forceTransport: transport });
			const read = await stream.readSession({ start: { from: { seqNum: 0 } } });
			const following = take(read, 100);
			const session = await stream.appendSession();
			for (let i = 0; i < 100; i += 10) await session.submit(numbered(i, i + 10));
			await session.close();
			assert.deepEqual(bodies(await following), Array.from({ length: 100 }, (_, i) => String(i)));
			await read.cancel();
		});
	});
}
