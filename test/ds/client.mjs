// The protocol's own client across kills: a producer appends and a follower reads while the broker is killed again and again. The
// follower gets every message once and in order, and then the end of the stream.
import assert from "node:assert/strict";
import { DurableStream, IdempotentProducer } from "@durable-streams/client";
import { newBroker } from "./broker.mjs";

const kills = 3;
const backoffOptions = { initialDelay: 20, maxDelay: 200, multiplier: 1.5, maxRetries: Infinity };
const sleep = (ms) => new Promise((later) => setTimeout(later, ms));

// A connection that is lost is an error of fetch, which the producer reports; so it is tried again here, as a page would.
async function patientFetch(input, init) {
	for (;;) {
		try {
			return await fetch(input, init);
		} catch (err) {
			if (init?.signal?.aborted) throw err;
			await sleep(50);
		}
	}
}

const broker = await newBroker();
try {
	const url = `${broker.ownStreams}/chat/reply 7`;
	const stream = await DurableStream.create({ url, contentType: "application/json", fetch: patientFetch, backoffOptions });
	const failures = [];
	const producer = new IdempotentProducer(stream, "model", { lingerMs: 2, maxBatchBytes: 2000, fetch: patientFetch, onError: (err) => failures.push(err) });

	const seen = [];
	const follower = (async () => {
		const reader = new DurableStream({ url, fetch: patientFetch, backoffOptions });
		for (let offset = "-1"; ; ) {
			try {
				const response = await reader.stream({ offset, live: "long-poll", json: true });
				await new Promise((done, failed) => {
					response.subscribeJson(async (batch) => {
						seen.push(...batch.items);
						offset = batch.offset;
					});
					response.closed.then(done, failed);
				});
				if (response.streamClosed) return;
			} catch {
				await sleep(50); // the answer was cut off: go on from the last offset
			}
		}
	})();

	let sent = 0;
	for (let kill = 0; kill <= kills; kill++) {
		for (const until = Date.now() + 400; Date.now() < until; ) {
			producer.append(JSON.stringify({ n: sent++ }));
			await sleep(1);
		}
		if (kill < kills) {
			await broker.end("SIGKILL");
			producer.append(JSON.stringify({ n: sent++ })); // into the void, for now
			await broker.start();
		}
	}
	await producer.flush();
	await producer.close();
	await follower;
	assert.deepEqual(failures, []);
	assert.deepEqual(seen, Array.from({ length: sent }, (_, n) => ({ n })));
	const head = await fetch(url, { method: "HEAD" });
	assert.equal(head.headers.get("stream-closed"), "true");
	console.log(`Durable Streams client: ${sent} messages over ${kills} kills, each once and in order`);
} finally {
	await broker.end("SIGTERM");
	broker.remove();
}
