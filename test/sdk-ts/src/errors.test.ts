import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { AppendInput, AppendRecord, FencingTokenMismatchError, type S2Basin } from "@s2-dev/streamstore";
import { connect, endpoint, fails, limit, newBasin, once, texts, uniqueName } from "./support/client.js";

describe("errors", limit, () => {
	const s2 = connect({ retry: once });
	const nowhere = s2.basin(uniqueName("nowhere"));
	let basin: S2Basin;
	before(async () => {
		basin = await newBasin(s2);
		await basin.streams.create({ stream: "there" });
	});

	test("404: a basin that is not there", async () => {
		await fails(s2.basins.getConfig({ basin: nowhere.name }), 404, "basin_not_found");
		await fails(s2.basins.delete({ basin: nowhere.name }), 404, "basin_not_found");
		await fails(s2.basins.reconfigure({ basin: nowhere.name }), 404, "basin_not_found");
		await fails(nowhere.streams.list(), 404, "basin_not_found");
		await fails(nowhere.streams.create({ stream: "s" }), 404, "basin_not_found");
		await fails(nowhere.stream("s").append(texts("x")), 404, "basin_not_found");
		await fails(nowhere.stream("s").checkTail(), 404, "basin_not_found");
	});

	test("404: a stream that is not there", async () => {
		await fails(basin.streams.getConfig({ stream: "gone" }), 404, "stream_not_found");
		await fails(basin.streams.delete({ stream: "gone" }), 404, "stream_not_found");
		await fails(basin.streams.reconfigure({ stream: "gone" }), 404, "stream_not_found");
		await fails(basin.stream("gone").append(texts("x")), 404, "stream_not_found");
		await fails(basin.stream("gone").read(), 404, "stream_not_found");
		await fails(basin.stream("gone").checkTail(), 404, "stream_not_found");
	});

	test("409: names that are taken", async () => {
		await fails(s2.basins.create({ basin: basin.name }), 409, "resource_already_exists");
		await fails(basin.streams.create({ stream: "there" }), 409, "resource_already_exists");
	});

	test("412 says which token is expected", async () => {
		const wrong = AppendInput.create([AppendRecord.string({ body: "x" })], { fencingToken: "t" });
		const error = await fails(basin.stream("there").append(wrong), 412);
		assert.ok(error instanceof FencingTokenMismatchError);
		assert.equal(error.expectedFencingToken, "");
	});

	test("422: what cannot be", async () => {
		const config = { retentionPolicy: { ageSecs: 0 } };
		await fails(basin.streams.create({ stream: "s", config }), 422, "invalid");
		await fails(s2.basins.create({ basin: uniqueName("x"), config: { defaultStreamConfig: config } }), 422, "invalid");
		const command = AppendRecord.string({ body: "x", headers: [["", "no-such-command"]] });
		await fails(basin.stream("there").append(AppendInput.create([command])), 422, "invalid");
	});

	test("an abort ends a request that waits", async () => {
		const abort = new AbortController();
		const reading = basin.stream("there").read(
			{ start: { from: { seqNum: 0 } }, stop: { waitSecs: 60 } },
			{ signal: abort.signal },
		);
		abort.abort();
		await fails(reading, 499);
	});

	test("errors without the SDK are JSON with a code and a message", async () => {
		const paths: [string, number, string][] = [
			["/v1/basins?limit=x", 400, "bad_query"],
			["/v1/basins/UPPER", 400, "bad_path"],
			["/v1/streams/there/records?seq_num=1&timestamp=2", 422, "invalid"],
			["/v1/streams/there/records?seq_num=-1", 400, "bad_query"],
			["/v1/streams/gone/records", 404, "stream_not_found"],
		];
		for (const [path, status, code] of paths) {
			const response = await fetch(endpoint() + path, { headers: { "s2-basin": basin.name } });
			assert.equal(response.status, status, path);
			const body = (await response.json()) as { code: string; message: string };
			assert.equal(body.code, code, path);
			assert.ok(body.message.length > 0, path);
		}
	});
});
