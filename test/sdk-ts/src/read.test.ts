import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { AppendInput, AppendRecord, RangeNotSatisfiableError, type S2Stream } from "@s2-dev/streamstore";
import { bodies, connect, fails, limit, newStream, once, texts } from "./support/client.js";

describe("read", limit, () => {
	const s2 = connect({ retry: once });
	const base = 1_700_000_000_000;
	let stream: S2Stream;
	// Record i has the body "i" and the timestamp base + 10 i.
	before(async () => {
		stream = await newStream(s2);
		await stream.append(
			AppendInput.create(
				Array.from({ length: 20 }, (_, i) => AppendRecord.string({ body: String(i), timestamp: base + i * 10 })),
			),
		);
	});
	const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));

	test("from a seq_num", async () => {
		const { records } = await stream.read({ start: { from: { seqNum: 15 } } });
		assert.deepEqual(bodies(records), range(15, 20));
		assert.deepEqual(records.map((r) => r.seqNum), [15, 16, 17, 18, 19]);
		assert.equal(records[0]?.timestamp.getTime(), base + 150);
	});

	test("from a timestamp", async () => {
		const exact = await stream.read({ start: { from: { timestamp: base + 100 } } });
		assert.deepEqual(bodies(exact.records), range(10, 20));
		const between = await stream.read({ start: { from: { timestamp: new Date(base + 101) } } });
		assert.deepEqual(bodies(between.records), range(11, 20));
	});

	test("from an offset before the tail", async () => {
		assert.deepEqual(bodies((await stream.read({ start: { from: { tailOffset: 3 } } })).records), range(17, 20));
		assert.deepEqual(bodies((await stream.read({ start: { from: { tailOffset: 99 } } })).records), range(0, 20));
	});

	test("up to a count, a size, a timestamp", async () => {
		const start = { from: { seqNum: 5 } };
		const read = async (stop: object) => bodies((await stream.read({ start, stop })).records);
		assert.deepEqual(await read({ limits: { count: 3 } }), range(5, 8));
		// Records 5 to 9 are metered at 9 bytes each, 10 and on at 10.
		assert.deepEqual(await read({ limits: { bytes: 46 } }), range(5, 10));
		assert.deepEqual(await read({ limits: { bytes: 55 } }), range(5, 11));
		assert.deepEqual(await read({ untilTimestamp: base + 80 }), range(5, 8));
		assert.deepEqual(await read({ untilTimestamp: new Date(base + 81) }), range(5, 9));
		assert.deepEqual(await read({ limits: { count: 0 } }), []);
	});

	test("at and beyond the tail", async () => {
		for (const seqNum of [20, 21]) {
			const error = await fails(stream.read({ start: { from: { seqNum } } }), 416);
			assert.ok(error instanceof RangeNotSatisfiableError);
			assert.equal(error.tail?.seqNum, 20);
			assert.equal(error.tail?.timestamp.getTime(), base + 190);
		}
		await fails(stream.read({ start: { from: { timestamp: base + 191 } } }), 416);
		// Clamped to the tail there is still nothing to read, unless one waits.
		await fails(stream.read({ start: { from: { seqNum: 99 }, clamp: true } }), 416);
		const waited = await stream.read({ start: { from: { seqNum: 99 }, clamp: true }, stop: { waitSecs: 1 } });
		assert.deepEqual(waited.records, []);
	});

	test("waiting returns with the append that it waited for", async () => {
		const live = await newStream(s2);
		const reading = live.read({ start: { from: { seqNum: 0 } }, stop: { waitSecs: 30 } });
		await live.append(texts("at last"));
		const batch = await reading;
		assert.deepEqual(bodies(batch.records), ["at last"]);
	});

	test("contradictions", async () => {
		await fails(
			stream.read({ start: { from: { timestamp: base + 50 } }, stop: { untilTimestamp: base + 50 } }),
			422,
			"invalid",
		);
	});

	test("a large stream comes in pieces", async () => {
		const large = await newStream(s2);
		const body = "x".repeat(100_000);
		for (let i = 0; i < 3; i++) await large.append(texts(...Array.from({ length: 10 }, () => body)));
		let next = 0;
		for (let reads = 0; next < 30; reads++) {
			const { records } = await large.read({ start: { from: { seqNum: next } } });
			assert.ok(records.length > 0 && records.length <= 10, `${records.length} records`);
			for (const record of records) assert.equal(record.seqNum, next++);
			assert.ok(reads < 10);
		}
	});
});
