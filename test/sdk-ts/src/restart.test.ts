import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppendInput, AppendRecord, type RetryConfig, S2, type S2Stream, SeqNumMismatchError } from "@s2-dev/streamstore";
import { Broker } from "./support/broker.js";
import { limit, numbered, take, unhurried, uniqueName } from "./support/client.js";
import { figure } from "./support/figures.js";

// Tries for longer than a broker may take to start.
const patient: RetryConfig = { maxAttempts: 10_000, minBaseDelayMillis: 20, maxBaseDelayMillis: 50 };

for (const transport of ["s2s", "fetch"] as const) {
	describe(`a broker that goes away and comes back, over ${transport}`, limit, () => {
		let broker: Broker;
		let s2: S2;
		before(async () => {
			const binary = process.env["WEIR_BIN"];
			assert.ok(binary, "WEIR_BIN is not set: run the suite with make test-sdk");
			broker = await Broker.start(binary);
			const endpoints = { account: broker.endpoint, basin: broker.endpoint };
			s2 = new S2({ accessToken: "ignored", endpoints, ...unhurried, retry: patient });
		});
		after(() => broker?.stop());

		const fresh = async (): Promise<S2Stream> => {
			const basin = uniqueName("restart");
			await s2.basins.create({ basin });
			await s2.basin(basin).streams.create({ stream: "s" });
			return s2.basin(basin).stream("s", { forceTransport: transport });
		};

		/** Record i has the body "i": each is appended exactly once, however often the broker dies. */
		async function appendExactlyOnce(stream: S2Stream, count: number, each: (next: number) => void): Promise<void> {
			for (let i = 0; i < count; i++) {
				const input = AppendInput.create([AppendRecord.string({ body: String(i) })], { matchSeqNum: i });
				try {
					await stream.append(input);
				} catch (error) {
					// The SDK tried again what the broker had stored before it died.
					if (!(error instanceof SeqNumMismatchError) || error.expectedSeqNum !== i + 1) throw error;
				}
				each(i + 1);
			}
		}

		for (const how of ["kill", "terminate"] as const) {
			test(`${how}: a follower gets every record once, in order, and nothing acknowledged is lost`, async () => {
				await using stream = await fresh();
				const session = await stream.readSession({ start: { from: { seqNum: 0 } } });
				const following = take(session, 300);
				let restarts = Promise.resolve(); // one after the other
				const again = async () => {
					const began = performance.now();
					await broker[how]();
					await broker.restart();
					if (how === "kill") figure(`kill -9 to answering again (${transport})`, performance.now() - began, "ms");
				};
				await appendExactlyOnce(stream, 300, (next) => {
					if (next === 100 || next === 200) restarts = restarts.then(again);
				});
				await restarts;
				const records = await following;
				assert.deepEqual(
					records.map((record) => [record.seqNum, record.body]),
					Array.from({ length: 300 }, (_, i) => [i, String(i)]),
				);
				assert.equal((await stream.checkTail()).tail.seqNum, 300);
				await session.cancel();
			});

			test(`${how}: an append session goes on, each input stored at least once and in order`, async () => {
				await using stream = await fresh();
				const session = await stream.appendSession({ maxInflightBatches: 8 });
				let restarted: Promise<void> | undefined;
				const acks: Promise<number>[] = [];
				for (let i = 0; i < 200; i++) {
					const ticket = await session.submit(numbered(i, i + 1));
					acks.push(ticket.ack().then((ack) => ack.start.seqNum));
					if (i === 100) restarted = broker[how]().then(() => broker.restart());
				}
				const places = await Promise.all(acks);
				await session.close();
				await restarted;

				const { tail } = await stream.checkTail();
				const read = await stream.readSession({
					start: { from: { seqNum: 0 } },
					stop: { limits: { count: tail.seqNum } },
				});
				const stored = (await take(read, tail.seqNum)).map((record) => Number(record.body));
				for (const [i, place] of places.entries()) assert.equal(stored[place], i, `the ack of input ${i}`);
				// What was in flight may be there twice, which is the SDK's choice: it tried again.
				assert.ok(stored.length <= 208, `${stored.length} records of 200 inputs`);
				if (how === "terminate") assert.equal(stored.length, 200, "a stop that was announced needs no second try");
			});
		}

		test("kill: a session with a limit delivers exactly that many", async () => {
			await using stream = await fresh();
			await stream.append(numbered(0, 50));
			const session = await stream.readSession({
				start: { from: { seqNum: 0 } },
				stop: { limits: { count: 100 }, waitSecs: 60 },
			});
			const first = await take(session, 50);
			await broker.kill();
			await broker.restart();
			await stream.append(numbered(50, 150));
			const rest = [];
			for await (const record of session) rest.push(record);
			assert.deepEqual(
				[...first, ...rest].map((record) => record.body),
				Array.from({ length: 100 }, (_, i) => String(i)),
			);
		});
	});
}
