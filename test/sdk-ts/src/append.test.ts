import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import {
	AppendInput,
	AppendRecord,
	FencingTokenMismatchError,
	MAX_APPEND_BYTES,
	SeqNumMismatchError,
} from "@s2-dev/streamstore";
import { bodies, connect, fails, limit, newBasin, newStream, numbered, once, texts } from "./support/client.js";
import { figure, median } from "./support/figures.js";

const fromStart = { start: { from: { seqNum: 0 } } };
const record = (body: string) => AppendRecord.string({ body });

describe("append", limit, () => {
	const s2 = connect({ retry: once });

	test("acks tell where the records are", async () => {
		const stream = await newStream(s2);
		const first = await stream.append(texts("a", "b"));
		assert.deepEqual([first.start.seqNum, first.end.seqNum, first.tail.seqNum], [0, 2, 2]);
		assert.ok(Math.abs(first.start.timestamp.getTime() - Date.now()) < 60_000);
		const second = await stream.append(texts("c"));
		assert.deepEqual([second.start.seqNum, second.end.seqNum], [2, 3]);
		assert.ok(second.start.timestamp >= first.end.timestamp);
		const { tail } = await stream.checkTail();
		assert.deepEqual(tail, second.tail);
		assert.deepEqual(bodies((await stream.read(fromStart)).records), ["a", "b", "c"]);
	});

	test("text, headers and empty bodies come back", async () => {
		const stream = await newStream(s2);
		const headers = [["kind", "greeting"], ["kind", "again"], ["ünï", "日本 🦀"], ["empty", ""]] as const;
		await stream.append(
			AppendInput.create([AppendRecord.string({ body: "naïve 日本 🦀 \u0000 \"quoted\"\n", headers }), record("")]),
		);
		const { records } = await stream.read(fromStart);
		assert.equal(records[0]?.body, "naïve 日本 🦀 \u0000 \"quoted\"\n");
		assert.deepEqual(records[0]?.headers, headers);
		assert.equal(records[1]?.body, "");
		assert.deepEqual(records[1]?.headers, []);
	});

	test("bytes come back, also beside text in one batch", async () => {
		const stream = await newStream(s2);
		const every = Uint8Array.from({ length: 256 }, (_, i) => i);
		const name = Uint8Array.of(0xff, 0x00, 0xfe);
		await stream.append(
			AppendInput.create([
				AppendRecord.bytes({ body: every, headers: [[name, every]] }),
				record("text"),
				AppendRecord.bytes({ body: new Uint8Array() }),
			]),
		);
		const { records } = await stream.read(fromStart, { as: "bytes" });
		assert.deepEqual(records.map((r) => Buffer.from(r.body)), [Buffer.from(every), Buffer.from("text"), Buffer.alloc(0)]);
		assert.deepEqual(
			records[0]?.headers.map(([k, v]) => [Buffer.from(k), Buffer.from(v)]),
			[[Buffer.from(name), Buffer.from(every)]],
		);
	});

	test("the largest batches fit", async () => {
		const stream = await newStream(s2);
		const one = randomBytes(MAX_APPEND_BYTES - 8);
		await stream.append(AppendInput.create([AppendRecord.bytes({ body: one })]));
		const many = await stream.append(numbered(0, 1000));
		assert.equal(many.end.seqNum, 1001);
		const big = await stream.read(fromStart, { as: "bytes" });
		assert.equal(big.records.length, 1);
		assert.ok(one.equals(big.records[0]!.body), "the body has changed");
		const rest = await stream.read({ start: { from: { seqNum: 1 } } });
		assert.deepEqual(bodies(rest.records), Array.from({ length: 1000 }, (_, i) => String(i)));
	});

	test("matchSeqNum lets one of two writers win", async () => {
		const stream = await newStream(s2);
		await stream.append(AppendInput.create([record("a")], { matchSeqNum: 0 }));
		const error = await fails(stream.append(AppendInput.create([record("b")], { matchSeqNum: 0 })), 412);
		assert.ok(error instanceof SeqNumMismatchError);
		assert.equal(error.expectedSeqNum, 1);
		const racers = await Promise.allSettled(
			Array.from({ length: 8 }, (_, i) => stream.append(AppendInput.create([record(`r${i}`)], { matchSeqNum: 1 }))),
		);
		assert.equal(racers.filter((racer) => racer.status === "fulfilled").length, 1);
		assert.equal((await stream.checkTail()).tail.seqNum, 2);
	});

	test("a fence shuts out those without its token", async () => {
		const stream = await newStream(s2);
		await stream.append(AppendInput.create([AppendRecord.fence("leader-1")]));
		await stream.append(AppendInput.create([record("mine")], { fencingToken: "leader-1" }));
		const error = await fails(stream.append(AppendInput.create([record("x")], { fencingToken: "leader-0" })), 412);
		assert.ok(error instanceof FencingTokenMismatchError);
		assert.equal(error.expectedFencingToken, "leader-1");
		// Fencing is cooperative: who names no token may write.
		await stream.append(texts("unfenced"));
		await stream.append(AppendInput.create([AppendRecord.fence("")], { fencingToken: "leader-1" }));
		await stream.append(AppendInput.create([record("free")], { fencingToken: "" }));
		const { records } = await stream.read(fromStart);
		assert.deepEqual(records[0]?.headers, [["", "fence"]]);
		assert.deepEqual(bodies(records), ["leader-1", "mine", "unfenced", "", "free"]);
		const visible = await stream.read({ ...fromStart, ignoreCommandRecords: true });
		assert.deepEqual(bodies(visible.records), ["mine", "unfenced", "free"]);
		// The SDK refuses to make such a fence, so it goes as the record that it is.
		const long = AppendRecord.string({ body: "x".repeat(37), headers: [["", "fence"]] });
		await fails(stream.append(AppendInput.create([long])), 422, "invalid");
	});

	test("a trim hides what is before it", async () => {
		const stream = await newStream(s2);
		await stream.append(numbered(0, 10));
		const ack = await stream.append(AppendInput.create([AppendRecord.trim(7)]));
		assert.equal(ack.start.seqNum, 10);
		// Trimming is done in the background: records below it may be read for a moment.
		for (;;) {
			const { records } = await stream.read(fromStart);
			if (records[0]?.seqNum !== 7) continue;
			assert.deepEqual(records.map((r) => r.seqNum), [7, 8, 9, 10]);
			assert.deepEqual(records.at(-1)?.headers, [["", "trim"]]);
			break;
		}
	});

	test("timestamps are the client's, never falling, never in the future", async () => {
		const stream = await newStream(s2);
		const at = (timestamp: number | Date) => AppendRecord.string({ body: "x", timestamp });
		const later = Date.now() + 3_600_000;
		await stream.append(AppendInput.create([at(1000), at(new Date(2000)), at(1500), at(later)]));
		const { records } = await stream.read(fromStart);
		assert.deepEqual(records.slice(0, 3).map((r) => r.timestamp.getTime()), [1000, 2000, 2000]);
		assert.ok(records[3]!.timestamp.getTime() <= Date.now());
	});

	test("timestamping modes", async () => {
		const basin = await newBasin(s2);
		const stream = async (stream: string, config: object) => {
			await basin.streams.create({ stream, config: { timestamping: config } });
			return basin.stream(stream);
		};
		const future = Date.now() + 3_600_000;
		const stamped = AppendInput.create([AppendRecord.string({ body: "x", timestamp: future })]);
		const uncapped = await stream("uncapped", { uncapped: true });
		assert.equal((await uncapped.append(stamped)).start.timestamp.getTime(), future);
		const arrival = await stream("arrival", { mode: "arrival", uncapped: true });
		assert.ok((await arrival.append(stamped)).start.timestamp.getTime() < future);
		const required = await stream("required", { mode: "client-require" });
		await fails(required.append(texts("no timestamp")), 422, "invalid");
	});

	test("50 streams at once", async () => {
		const basin = await newBasin(s2);
		const streams = Array.from({ length: 50 }, (_, i) => basin.stream(`s${i}`));
		await Promise.all(streams.map((stream) => basin.streams.create({ stream: stream.name })));
		await Promise.all(
			streams.map(async (stream) => {
				for (let i = 0; i < 10; i++) await stream.append(texts(`${stream.name}:${i}`));
			}),
		);
		for (const stream of streams) {
			const { records } = await stream.read(fromStart);
			assert.deepEqual(bodies(records), Array.from({ length: 10 }, (_, i) => `${stream.name}:${i}`));
		}
	});

	test("how long an append of one record takes", async () => {
		const stream = await newStream(s2);
		const took: number[] = [];
		for (let i = 0; i < 200; i++) {
			const began = performance.now();
			await stream.append(texts("x"));
			took.push(performance.now() - began);
		}
		figure("append of one record, median of 200", median(took), "ms");
	});
});
