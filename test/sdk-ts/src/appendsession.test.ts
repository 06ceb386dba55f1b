import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
	AppendInput,
	AppendRecord,
	BatchTransform,
	FencingTokenMismatchError,
	Producer,
	type S2Stream,
	SeqNumMismatchError,
} from "@s2-dev/streamstore";
import { bodies, connect, fails, limit, newBasin, newStream, numbered, once, take, texts } from "./support/client.js";
import { figure } from "./support/figures.js";

const fromStart = { start: { from: { seqNum: 0 } } };

// "s2s" is frames over HTTP/2, what the SDK uses on servers; "fetch" is what it uses in browsers.
for (const transport of ["s2s", "fetch"] as const) {
	describe(`append sessions over ${transport}`, limit, () => {
		const s2 = connect({ retry: once });
		const fresh = async (): Promise<S2Stream> => {
			const basin = await newBasin(s2);
			await basin.streams.create({ stream: "session" });
			return basin.stream("session", { forceTransport: transport });
		};

		test("many batches in flight are acknowledged in their order", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession();
			const tickets = [];
			for (let i = 0; i < 100; i++) tickets.push(await session.submit(numbered(i * 10, i * 10 + 10)));
			for (const [i, ticket] of tickets.entries()) {
				assert.equal(ticket.numRecords, 10);
				const ack = await ticket.ack();
				assert.deepEqual([ack.start.seqNum, ack.end.seqNum], [i * 10, i * 10 + 10]);
			}
			await session.close();
			assert.equal(session.failureCause(), undefined);
			assert.equal(session.lastAckedPosition()?.end.seqNum, 1000);
			const { records } = await stream.read(fromStart);
			assert.deepEqual(bodies(records), Array.from({ length: 1000 }, (_, i) => String(i)));
		});

		test("a session is a pair of web streams", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession();
			const inputs = ReadableStream.from([texts("a"), texts("b", "c"), texts("d")]);
			const written = inputs.pipeTo(session.writable);
			const ends: number[] = [];
			for await (const ack of session.acks()) ends.push(ack.end.seqNum);
			await written;
			assert.deepEqual(ends, [1, 3, 4]);
		});

		test("limits on what is in flight hold a fast writer back", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession({ maxInflightBatches: 2, maxInflightBytes: 1 << 20 });
			const big = AppendInput.create([AppendRecord.bytes({ body: new Uint8Array(100 << 10) })]);
			let acked = 0;
			let most = 0;
			const acks = [];
			for (let i = 0; i < 30; i++) {
				const ticket = await session.submit(big);
				acks.push(ticket.ack().then(() => acked++));
				most = Math.max(most, i + 1 - acked);
			}
			await Promise.all(acks);
			await session.close();
			// The ack that makes room is seen a turn of the event loop after the room.
			assert.ok(most <= 4, `${most} batches were in flight`);
			assert.equal((await stream.checkTail()).tail.seqNum, 30);
		});

		test("conditions hold in the order of the session", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession();
			const record = AppendRecord.string({ body: "x" });
			const tickets = [
				await session.submit(AppendInput.create([AppendRecord.fence("me")], { matchSeqNum: 0 })),
				await session.submit(AppendInput.create([record], { matchSeqNum: 1, fencingToken: "me" })),
				await session.submit(AppendInput.create([record, record], { matchSeqNum: 2, fencingToken: "me" })),
			];
			for (const ticket of tickets) await ticket.ack();
			await session.close();
			assert.equal((await stream.checkTail()).tail.seqNum, 4);
		});

		test("a failed condition ends the session with its type, and what came before stands", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession();
			const good = await session.submit(texts("good"));
			assert.equal((await good.ack()).end.seqNum, 1);
			const bad = await session.submit(AppendInput.create([AppendRecord.string({ body: "bad" })], { matchSeqNum: 7 }));
			const error = await fails(bad.ack(), 412);
			assert.ok(error instanceof SeqNumMismatchError, error.name);
			assert.equal(error.expectedSeqNum, 1);
			await fails(session.submit(texts("late")).then((ticket) => ticket.ack()), 412);
			assert.equal(session.failureCause()?.status, 412);
			await session.close().catch(() => undefined);
			assert.equal((await stream.checkTail()).tail.seqNum, 1);
		});

		test("a fence ends the session of a former leader", async () => {
			await using stream = await fresh();
			const session = await stream.appendSession();
			const mine = (token: string, body: string) =>
				AppendInput.create([AppendRecord.string({ body })], { fencingToken: token });
			await (await session.submit(AppendInput.create([AppendRecord.fence("old")]))).ack();
			await (await session.submit(mine("old", "kept"))).ack();
			await stream.append(AppendInput.create([AppendRecord.fence("new")], { fencingToken: "old" }));
			const error = await fails((await session.submit(mine("old", "lost"))).ack(), 412);
			assert.ok(error instanceof FencingTokenMismatchError, error.name);
			assert.equal(error.expectedFencingToken, "new");
			await session.close().catch(() => undefined);
			assert.deepEqual(bodies((await stream.read(fromStart)).records), ["old", "kept", "new"]);
		});

		test("a stream that is not there ends the session with 404", async () => {
			await using stream = (await newBasin(s2)).stream("missing", { forceTransport: transport });
			const session = await stream.appendSession();
			await fails(session.submit(texts("x")).then((ticket) => ticket.ack()), 404, "stream_not_found");
			await session.close().catch(() => undefined);
		});
	});
}

describe("append sessions with compressed frames", limit, () => {
	const s2 = connect({ retry: once, compression: "gzip" });

	test("records come back as they were", async () => {
		await using stream = await newStream(s2);
		const session = await stream.appendSession();
		const body = "compressible ".repeat(10_000);
		for (let i = 0; i < 5; i++) await session.submit(texts(body, "small"));
		await session.close();
		const read = await stream.readSession({ ...fromStart, stop: { limits: { count: 10 } } });
		const records = await take(read, 10);
		assert.deepEqual(bodies(records), Array.from({ length: 5 }, () => [body, "small"]).flat());
	});
});

describe("producers", limit, () => {
	const s2 = connect({ retry: once });

	test("records are batched, each has its own ticket", async () => {
		await using stream = await newStream(s2);
		const producer = new Producer(
			new BatchTransform({ lingerDurationMillis: 60_000, maxBatchRecords: 50 }),
			await stream.appendSession(),
		);
		const tickets = [];
		for (let i = 0; i < 1000; i++) tickets.push(await producer.submit(AppendRecord.string({ body: String(i) })));
		await producer.flush();
		const acks = await Promise.all(tickets.map((ticket) => ticket.ack()));
		assert.deepEqual(acks.map((ack) => ack.seqNum()), Array.from({ length: 1000 }, (_, i) => i));
		const batches = new Set(acks.map((ack) => ack.batchAppendAck().start.seqNum));
		assert.equal(batches.size, 20);
		await producer.close();
		assert.equal((await stream.checkTail()).tail.seqNum, 1000);
	});

	test("batches may each match the seq_num that they expect", async () => {
		await using stream = await newStream(s2);
		await stream.append(texts("before", "before"));
		const producer = new Producer(
			new BatchTransform({ maxBatchRecords: 10, matchSeqNum: 2 }),
			await stream.appendSession(),
		);
		for (let i = 0; i < 95; i++) await producer.submit(AppendRecord.string({ body: String(i) }));
		await producer.close();
		assert.equal((await stream.checkTail()).tail.seqNum, 97);
	});

	test("a failure reaches every ticket behind it", async () => {
		await using stream = await newStream(s2);
		const producer = new Producer(
			new BatchTransform({ maxBatchRecords: 10, matchSeqNum: 5 }),
			await stream.appendSession(),
		);
		const ticket = await producer.submit(AppendRecord.string({ body: "x" }));
		const [ack, closed] = await Promise.allSettled([ticket.ack(), producer.close()]);
		assert.ok(ack.status === "rejected" && ack.reason instanceof SeqNumMismatchError, JSON.stringify(ack));
		assert.equal(closed.status, "rejected");
		assert.equal((await stream.checkTail()).tail.seqNum, 0);
	});
});

describe("the speed of append sessions", limit, () => {
	const s2 = connect({ retry: once });

	test("batches of 1 MiB", async () => {
		await using stream = await newStream(s2);
		const session = await stream.appendSession({ maxInflightBytes: 8 << 20 });
		const batch = AppendInput.create(
			Array.from({ length: 100 }, () => AppendRecord.bytes({ body: new Uint8Array(10_000) })),
		);
		const began = performance.now();
		for (let i = 0; i < 64; i++) await session.submit(batch);
		await session.close();
		const seconds = (performance.now() - began) / 1000;
		assert.equal((await stream.checkTail()).tail.seqNum, 6400);
		figure("append session, 64 batches of 1 MB", (64 * batch.meteredBytes) / 1e6 / seconds, "MB/s");

		const read = await stream.readSession({ ...fromStart, stop: { limits: { count: 6400 } } }, { as: "bytes" });
		const readBegan = performance.now();
		let bytes = 0;
		for await (const record of read) bytes += record.body.length;
		assert.equal(bytes, 64_000_000);
		figure("read session, 6400 records of 10 KB", bytes / 1e3 / (performance.now() - readBegan), "MB/s");
	});

	test("a producer of small records", async () => {
		await using stream = await newStream(s2);
		const producer = new Producer(new BatchTransform(), await stream.appendSession());
		const record = AppendRecord.string({ body: "x".repeat(100) });
		const began = performance.now();
		for (let i = 0; i < 20_000; i++) await producer.submit(record);
		await producer.close();
		const seconds = (performance.now() - began) / 1000;
		assert.equal((await stream.checkTail()).tail.seqNum, 20_000);
		figure("producer, records of 100 B", 20_000 / seconds, "records/s");
	});
});
