import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RangeNotSatisfiableError, type S2Stream } from "@s2-dev/streamstore";
import { bodies, connect, fails, limit, newBasin, numbered, once, take, texts } from "./support/client.js";
import { figure, median } from "./support/figures.js";

for (const transport of ["s2s", "fetch"] as const) {
	describe(`read sessions over ${transport}`, limit, () => {
		const s2 = connect({ retry: once });
		const fresh = async (records = 0): Promise<S2Stream> => {
			const basin = await newBasin(s2);
			await basin.streams.create({ stream: "session" });
			const stream = basin.stream("session", { forceTransport: transport });
			for (let i = 0; i < records; i += 1000) await stream.append(numbered(i, Math.min(i + 1000, records)));
			return stream;
		};

		test("with a limit it ends by itself", async () => {
			await using stream = await fresh(2500);
			const session = await stream.readSession({
				start: { from: { seqNum: 0 } },
				stop: { limits: { count: 2200 } },
			});
			let next = 0;
			for await (const record of session) {
				assert.equal(record.seqNum, next);
				assert.equal(record.body, String(next++));
			}
			assert.equal(next, 2200);
			assert.equal(session.nextReadPosition()?.seqNum, 2200);
		});

		test("with until it ends before that timestamp", async () => {
			await using stream = await fresh(10);
			const { tail } = await stream.checkTail();
			const session = await stream.readSession({
				start: { from: { seqNum: 0 } },
				stop: { untilTimestamp: tail.timestamp.getTime() + 1 },
			});
			let read = 0;
			for await (const _ of session) read++;
			assert.equal(read, 10);
		});

		test("with a wait it ends when nothing comes", async () => {
			await using stream = await fresh(3);
			const session = await stream.readSession({ start: { from: { tailOffset: 2 } }, stop: { waitSecs: 1 } });
			const read: string[] = [];
			for await (const record of session) read.push(record.body);
			assert.deepEqual(read, ["1", "2"]);
		});

		test("it follows live appends, in order and without gap", async () => {
			await using stream = await fresh(100);
			const session = await stream.readSession({ start: { from: { seqNum: 50 } } });
			const following = take(session, 550);
			for (let i = 100; i < 600; i += 10) await stream.append(numbered(i, i + 10));
			const records = await following;
			assert.deepEqual(records.map((r) => r.seqNum), Array.from({ length: 550 }, (_, i) => 50 + i));
			assert.deepEqual(bodies(records), Array.from({ length: 550 }, (_, i) => String(50 + i)));
			await session.cancel();
		});

		test("it tells when it has caught up", async () => {
			await using stream = await fresh(25);
			const session = await stream.readSession({ start: { from: { seqNum: 0 } } });
			const reached = session.caughtUp();
			await take(session, 25);
			assert.equal((await reached).seqNum, 25);
			assert.equal(session.lastObservedTail()?.seqNum, 25);
			assert.equal(session.isCaughtUp(), true);
			await session.cancel();
		});

		test("at the tail it waits, beyond the tail it fails or is clamped", async () => {
			await using stream = await fresh(5);
			const beyond = stream.readSession({ start: { from: { seqNum: 9 } } }).then((session) => take(session, 1));
			const error = await fails(beyond, 416);
			assert.ok(error instanceof RangeNotSatisfiableError, error.name);
			assert.equal(error.tail?.seqNum, 5);
			const clamped = await stream.readSession({ start: { from: { seqNum: 9 }, clamp: true } });
			await clamped.caughtUp();
			await stream.append(texts("live"));
			assert.deepEqual((await take(clamped, 1)).map((r) => [r.seqNum, r.body]), [[5, "live"]]);
			await clamped.cancel();
		});

		test("a stream that is not there is 404", async () => {
			await using stream = (await newBasin(s2)).stream("missing", { forceTransport: transport });
			const session = stream.readSession({ start: { from: { seqNum: 0 } } }).then((session) => take(session, 1));
			await fails(session, 404, "stream_not_found");
		});

		test("deleting the stream trims all of it, then ends the session with an error", async () => {
			const basin = await newBasin(s2);
			await basin.streams.create({ stream: "doomed" });
			await using stream = basin.stream("doomed", { forceTransport: transport });
			const session = await stream.readSession({ start: { from: { seqNum: 0 } } }, { as: "bytes" });
			await session.caughtUp();
			await basin.streams.delete({ stream: "doomed" });
			const [last] = await take(session, 1);
			assert.deepEqual(last!.headers.map(([name, value]) => `${Buffer.from(name)}=${Buffer.from(value)}`), ["=trim"]);
			assert.deepEqual(Buffer.from(last!.body), Buffer.alloc(8, 0xff));
			await fails(take(session, 1), 503);
		});

		test("a session that is left does not disturb the others", async () => {
			await using stream = await fresh();
			const sessions = await Promise.all(
				Array.from({ length: 20 }, () => stream.readSession({ start: { from: { seqNum: 0 } } })),
			);
			const leaving = sessions.splice(0, 10);
			const staying = sessions.map((session) => take(session, 30));
			await stream.append(numbered(0, 10));
			await Promise.all(leaving.map((session) => session.cancel()));
			await stream.append(numbered(10, 30));
			for (const records of await Promise.all(staying)) {
				assert.deepEqual(bodies(records), Array.from({ length: 30 }, (_, i) => String(i)));
			}
			await Promise.all(sessions.map((session) => session.cancel()));
		});

		test("bytes", async () => {
			await using stream = await fresh();
			await stream.append(texts("ünï"));
			const session = await stream.readSession({ start: { from: { seqNum: 0 } } }, { as: "bytes" });
			const [record] = await take(session, 1);
			assert.deepEqual(Buffer.from(record!.body), Buffer.from("ünï"));
			await session.cancel();
		});

		test("how long a record takes to its follower", async () => {
			await using stream = await fresh();
			const session = await stream.readSession({ start: { from: { seqNum: 0 } } });
			await session.caughtUp();
			const took: number[] = [];
			for (let i = 0; i < 100; i++) {
				const began = performance.now();
				const received = take(session, 1).then(() => took.push(performance.now() - began));
				await stream.append(texts("x"));
				await received;
			}
			figure(`append to follower over ${transport}, median of 100`, median(took), "ms");
			await session.cancel();
		});
	});
}

describe("50 streams at once", limit, () => {
	test("each with a writer and a follower", async () => {
		const s2 = connect({ retry: once });
		const basin = await newBasin(s2);
		await Promise.all(
			Array.from({ length: 50 }, async (_, i) => {
				const name = `many/${i}`;
				await basin.streams.create({ stream: name });
				await using stream = basin.stream(name);
				const read = await stream.readSession({ start: { from: { seqNum: 0 } } });
				const following = take(read, 200);
				const write = await stream.appendSession();
				for (let n = 0; n < 20; n++) {
					await write.submit(texts(...Array.from({ length: 10 }, (_, k) => `${name}:${n * 10 + k}`)));
				}
				await write.close();
				assert.deepEqual(bodies(await following), Array.from({ length: 200 }, (_, k) => `${name}:${k}`));
				await read.cancel();
			}),
		);
	});
});
