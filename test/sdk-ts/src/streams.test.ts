import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { S2Basin } from "@s2-dev/streamstore";
import { bodies, connect, fails, limit, newBasin, once, texts, uniqueName } from "./support/client.js";

describe("streams", limit, () => {
	const s2 = connect({ retry: once });
	let basin: S2Basin;
	before(async () => {
		basin = await newBasin(s2, "streams");
	});

	test("create, list, get, delete", async () => {
		const made = await basin.streams.create({ stream: "life" });
		assert.equal(made.name, "life");
		assert.ok(Math.abs(made.createdAt.getTime() - Date.now()) < 60_000);
		assert.deepEqual(await basin.streams.getConfig({ stream: "life" }), {
			storageClass: "express",
			retentionPolicy: { ageSecs: 604_800 },
			timestamping: { mode: "client-prefer", uncapped: false },
			deleteOnEmpty: { minAgeSecs: 0 },
		});
		const listed = await basin.streams.list({ prefix: "life" });
		assert.deepEqual(listed.streams.map((stream) => stream.name), ["life"]);
		assert.deepEqual(listed.streams[0]?.createdAt, made.createdAt);

		await basin.streams.delete({ stream: "life" });
		const error = await basin.streams.getConfig({ stream: "life" }).then(
			() => undefined,
			(error) => error,
		);
		assert.ok(["stream_not_found", "stream_deletion_pending"].includes(error?.code), `${error}`);
		for await (const stream of basin.streams.listAll({ prefix: "life" })) assert.fail(`${stream.name} lives`);
	});

	test("a config of the stream stands before the basin's", async () => {
		const other = await newBasin(s2);
		await s2.basins.reconfigure({
			basin: other.name,
			defaultStreamConfig: { storageClass: "standard", timestamping: { mode: "arrival" } },
		});
		await other.streams.create({
			stream: "mixed",
			config: { retentionPolicy: { infinite: {} }, timestamping: { uncapped: true } },
		});
		assert.deepEqual(await other.streams.getConfig({ stream: "mixed" }), {
			storageClass: "standard",
			retentionPolicy: { infinite: {} },
			timestamping: { mode: "arrival", uncapped: true },
			deleteOnEmpty: { minAgeSecs: 0 },
		});
	});

	test("ensure creates, then changes nothing, then updates", async () => {
		const config = { deleteOnEmpty: { minAgeSecs: 3600 } };
		assert.equal((await basin.streams.ensure({ stream: "ensured", config })).result, "created");
		assert.equal((await basin.streams.ensure({ stream: "ensured", config })).result, "noop");
		const updated = await basin.streams.ensure({ stream: "ensured" });
		assert.equal(updated.result, "updated");
		assert.equal(updated.stream.name, "ensured");
		assert.deepEqual((await basin.streams.getConfig({ stream: "ensured" })).deleteOnEmpty, { minAgeSecs: 0 });
	});

	test("reconfigure changes what is named, null falls back to the defaults", async () => {
		await basin.streams.create({ stream: "reconf", config: { storageClass: "standard" } });
		const changed = await basin.streams.reconfigure({
			stream: "reconf",
			retentionPolicy: { ageSecs: 60 },
			timestamping: { mode: "arrival" },
		});
		assert.equal(changed.storageClass, "standard");
		assert.deepEqual(changed.retentionPolicy, { ageSecs: 60 });
		assert.equal(changed.timestamping?.mode, "arrival");
		const cleared = await basin.streams.reconfigure({ stream: "reconf", storageClass: null, retentionPolicy: null });
		assert.equal(cleared.storageClass, "express");
		assert.deepEqual(cleared.retentionPolicy, { ageSecs: 604_800 });
		assert.equal(cleared.timestamping?.mode, "arrival");
		await fails(
			basin.streams.reconfigure({ stream: "reconf", retentionPolicy: { ageSecs: 0 } }),
			422,
			"invalid",
		);
	});

	test("pages", async () => {
		const names = Array.from({ length: 25 }, (_, i) => `page/${String(i).padStart(2, "0")}`);
		await Promise.all(names.map((stream) => basin.streams.create({ stream })));
		const first = await basin.streams.list({ prefix: "page/", limit: 10 });
		assert.deepEqual(first.streams.map((stream) => stream.name), names.slice(0, 10));
		assert.equal(first.hasMore, true);
		const last = await basin.streams.list({ prefix: "page/", startAfter: "page/19" });
		assert.deepEqual(last.streams.map((stream) => stream.name), names.slice(20));
		assert.equal(last.hasMore, false);
		const all: string[] = [];
		for await (const stream of basin.streams.listAll({ prefix: "page/", limit: 4 })) all.push(stream.name);
		assert.deepEqual(all, names);
	});

	test("names may be any text", async () => {
		const names = ["user/42/chat", "with space", "100%", "a?b#c&d=e", "ünï/日本/🦀", "..", ".", "a//b/", "+plus+", "a\\b"];
		for (const name of names) {
			const stream = uniqueName("x") + "/" + name;
			await basin.streams.create({ stream });
			await basin.stream(stream).append(texts(name));
			const batch = await basin.stream(stream).read({ start: { from: { seqNum: 0 } } });
			assert.deepEqual(bodies(batch.records), [name]);
			const listed = await basin.streams.list({ prefix: stream });
			assert.deepEqual(listed.streams.map((info) => info.name), [stream]);
			await basin.streams.delete({ stream });
		}
	});

	test("append and read make streams where the basin says so", async () => {
		const auto = uniqueName("auto");
		await s2.basins.create({ basin: auto, config: { createStreamOnAppend: true, createStreamOnRead: true } });
		const appended = s2.basin(auto).stream("by-append");
		assert.equal((await appended.append(texts("first"))).start.seqNum, 0);
		const read = s2.basin(auto).stream("by-read");
		assert.equal((await read.checkTail()).tail.seqNum, 0);
		const listed = await s2.basin(auto).streams.list();
		assert.deepEqual(listed.streams.map((stream) => stream.name), ["by-append", "by-read"]);
	});

	test("a name may be used again, with nothing of the old stream", async () => {
		const stream = basin.stream("reborn");
		await basin.streams.create({ stream: "reborn" });
		await stream.append(texts("old"));
		await basin.streams.delete({ stream: "reborn" });
		for (;;) {
			const made = await basin.streams.create({ stream: "reborn" }).then(
				() => true,
				(error) => {
					assert.equal(error.code, "stream_deletion_pending");
					return false;
				},
			);
			if (made) break;
		}
		assert.equal((await stream.checkTail()).tail.seqNum, 0);
	});
});
