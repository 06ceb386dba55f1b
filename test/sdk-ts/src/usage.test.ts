/** Usage metrics and locations, as the SDK asks for them. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { connect, fails, limit, once, texts, uniqueName } from "./support/client.js";

const hour = 3_600_000;

describe("usage metrics", limit, () => {
	const s2 = connect({ retry: once });
	const basin = uniqueName("usage");
	const body = "x".repeat(92); // 100 metered bytes
	// A bucket belongs to the time if its beginning does: that of a day too.
	const time = () => ({ start: new Date(Date.now() - 25 * hour), end: new Date(Date.now() + 30_000) });

	before(async () => {
		await s2.basins.create({ basin });
		await s2.basin(basin).streams.create({ stream: "measured" });
		const stream = s2.basin(basin).stream("measured");
		await stream.append(texts(body, body, body));
		await stream.read({ start: { from: { seqNum: 0 } } });
	});

	type Values = Awaited<ReturnType<typeof s2.metrics.basin>>["values"];

	/** The sum of an accumulation's values. */
	const sum = (values: Values, name: string) => {
		for (const metric of values) {
			if (!("accumulation" in metric) || metric.accumulation.name !== name) continue;
			for (const [at] of metric.accumulation.values) {
				const age = Date.now() - at.getTime();
				assert.ok(age > -60_000 && age < 25 * hour, `a bucket of ${at.toISOString()}`);
			}
			return metric.accumulation.values.reduce((total, [, value]) => total + value, 0);
		}
		return assert.fail(`no accumulation ${name} in ${JSON.stringify(values)}`);
	};

	/** The last value of a gauge. */
	const last = (values: Values, name: string) => {
		for (const metric of values) {
			if ("gauge" in metric && metric.gauge.name === name) return metric.gauge.values.at(-1)?.[1];
		}
		return assert.fail(`no gauge ${name} in ${JSON.stringify(values)}`);
	};

	test("of the account", async () => {
		const { values: active } = await s2.metrics.account({ set: "active-basins", ...time() });
		const label = active.find((metric) => "label" in metric);
		assert.ok(label && "label" in label && label.label.values.includes(basin), JSON.stringify(active));
		const { values } = await s2.metrics.account({ set: "account-ops", ...time() });
		assert.ok(sum(values, "create-basin") >= 1);
	});

	for (const interval of ["minute", "hour", "day"] as const) {
		test(`of a basin, by ${interval}`, async () => {
			const get = async (set: Parameters<typeof s2.metrics.basin>[0]["set"]) =>
				(await s2.metrics.basin({ basin, set, interval, ...time() })).values;
			assert.equal(sum(await get("append-ops"), "express"), 1);
			assert.equal(sum(await get("append-ops"), "standard"), 0);
			assert.equal(sum(await get("append-throughput"), "express"), 300);
			assert.equal(sum(await get("read-ops"), "unary"), 1);
			assert.equal(sum(await get("read-ops"), "streaming"), 0);
			assert.equal(sum(await get("read-throughput"), "read_throughput"), 300);
			assert.equal(sum(await get("basin-ops"), "create-stream"), 1);
		});
	}

	test("what is stored, of a basin and a stream", async () => {
		assert.equal(last((await s2.metrics.basin({ basin, set: "storage", interval: "hour", ...time() })).values, "storage"), 300);
		assert.equal(last((await s2.metrics.stream({ basin, stream: "measured", set: "storage", ...time() })).values, "storage"), 300);
	});

	test("of what does not exist there is none, and a time is needed", async () => {
		const { values } = await s2.metrics.basin({ basin: uniqueName("none"), set: "append-ops", ...time() });
		assert.equal(sum(values, "express"), 0);
		await fails(s2.metrics.account({ set: "account-ops" }), 422, "invalid");
		const { start, end } = time();
		await fails(s2.metrics.account({ set: "account-ops", start: end, end: start }), 422, "invalid");
	});
});

describe("locations", limit, () => {
	const s2 = connect({ retry: once });

	test("list, and the default", async () => {
		const local = { name: "local", isPrivate: true, storageClasses: ["express", "standard"], defaultStorageClass: "express" };
		assert.deepEqual(await s2.locations.list(), [local]);
		assert.deepEqual(await s2.locations.getDefault(), local);
		assert.deepEqual(await s2.locations.setDefault({ location: "local" }), local);
		await fails(s2.locations.setDefault({ location: "aws:us-east-1" }), 422, "invalid");
	});

	test("a basin is made in one, and shows it", async () => {
		assert.equal((await s2.basins.create({ basin: uniqueName("at"), location: "local" })).location, "local");
		assert.equal((await s2.basins.create({ basin: uniqueName("at") })).location, "local");
		await fails(s2.basins.create({ basin: uniqueName("at"), location: "aws:us-east-1" }), 422, "invalid");
	});
});
