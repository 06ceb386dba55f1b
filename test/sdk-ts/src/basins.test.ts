import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connect, endpoint, fails, limit, newBasin, once, uniqueName } from "./support/client.js";

describe("basins", limit, () => {
	const s2 = connect({ retry: once });

	test("create, list, get, delete", async () => {
		const before = Date.now();
		const name = uniqueName("life");
		const made = await s2.basins.create({ basin: name });
		assert.equal(made.name, name);
		assert.ok(Math.abs(made.createdAt.getTime() - before) < 60_000, `created at ${made.createdAt}`);
		assert.equal(made.deletedAt ?? null, null);

		const listed = await s2.basins.list({ prefix: name });
		assert.deepEqual(listed.basins.map((basin) => basin.name), [name]);
		assert.equal(listed.hasMore, false);
		assert.deepEqual(listed.basins[0]?.createdAt, made.createdAt);

		const config = await s2.basins.getConfig({ basin: name });
		assert.equal(config.createStreamOnAppend, false);
		assert.equal(config.createStreamOnRead, false);

		await s2.basins.delete({ basin: name });
		// The basin goes in the background: until then it says so, afterwards it is unknown.
		const error = await s2.basins.getConfig({ basin: name }).then(
			() => undefined,
			(error) => error,
		);
		if (error) assert.ok(["basin_not_found", "basin_deletion_pending"].includes(error.code), error.message);
		for await (const basin of s2.basins.listAll({ prefix: name })) assert.fail(`${basin.name} is listed as living`);
	});

	test("a config comes back as it was given", async () => {
		const basin = uniqueName("config");
		await s2.basins.create({
			basin,
			config: {
				createStreamOnAppend: true,
				createStreamOnRead: true,
				defaultStreamConfig: {
					storageClass: "standard",
					retentionPolicy: { ageSecs: 86_400 },
					timestamping: { mode: "client-require", uncapped: true },
					deleteOnEmpty: { minAgeSecs: 60 },
				},
			},
		});
		const config = await s2.basins.getConfig({ basin });
		assert.equal(config.createStreamOnAppend, true);
		assert.equal(config.createStreamOnRead, true);
		assert.deepEqual(config.defaultStreamConfig, {
			storageClass: "standard",
			retentionPolicy: { ageSecs: 86_400 },
			timestamping: { mode: "client-require", uncapped: true },
			deleteOnEmpty: { minAgeSecs: 60 },
		});
	});

	test("ensure creates, then changes nothing, then updates", async () => {
		const basin = uniqueName("ensure");
		const first = await s2.basins.ensure({ basin, config: { createStreamOnAppend: true } });
		assert.equal(first.result, "created");
		assert.equal(first.basin.name, basin);
		const second = await s2.basins.ensure({ basin, config: { createStreamOnAppend: true } });
		assert.equal(second.result, "noop");
		assert.deepEqual(second.basin.createdAt, first.basin.createdAt);
		const third = await s2.basins.ensure({ basin, config: { createStreamOnAppend: false } });
		assert.equal(third.result, "updated");
		assert.equal((await s2.basins.getConfig({ basin })).createStreamOnAppend, false);
		assert.equal((await s2.basins.ensure({ basin })).result, "noop");
	});

	test("reconfigure changes what is named, null clears", async () => {
		const basin = uniqueName("reconf");
		await s2.basins.create({ basin, config: { defaultStreamConfig: { storageClass: "standard" } } });
		const changed = await s2.basins.reconfigure({
			basin,
			createStreamOnRead: true,
			defaultStreamConfig: { retentionPolicy: { ageSecs: 3600 } },
		});
		assert.equal(changed.createStreamOnRead, true);
		assert.equal(changed.defaultStreamConfig?.storageClass, "standard");
		assert.deepEqual(changed.defaultStreamConfig?.retentionPolicy, { ageSecs: 3600 });
		const cleared = await s2.basins.reconfigure({ basin, defaultStreamConfig: { storageClass: null } });
		assert.equal(cleared.defaultStreamConfig?.storageClass ?? null, null);
		assert.deepEqual(cleared.defaultStreamConfig?.retentionPolicy, { ageSecs: 3600 });
		assert.deepEqual(await s2.basins.getConfig({ basin }), cleared);
	});

	test("pages", async () => {
		const prefix = uniqueName("page");
		const names = Array.from({ length: 7 }, (_, i) => `${prefix}-${i}`);
		for (const basin of names) await s2.basins.create({ basin });
		const first = await s2.basins.list({ prefix, limit: 3 });
		assert.deepEqual(first.basins.map((basin) => basin.name), names.slice(0, 3));
		assert.equal(first.hasMore, true);
		const rest = await s2.basins.list({ prefix, startAfter: names[2]!, limit: 4 });
		assert.deepEqual(rest.basins.map((basin) => basin.name), names.slice(3));
		assert.equal(rest.hasMore, false);
		const all: string[] = [];
		for await (const basin of s2.basins.listAll({ prefix, limit: 2 })) all.push(basin.name);
		assert.deepEqual(all, names);
	});

	test("creating twice is a conflict, but a retry of one call is not", async () => {
		const basin = await newBasin(s2);
		await fails(s2.basins.create({ basin: basin.name }), 409, "resource_already_exists");

		// The SDK sends one request token in all tries of a call, as here by hand.
		const name = uniqueName("again");
		const create = (token: string) =>
			fetch(`${endpoint()}/v1/basins`, {
				method: "POST",
				headers: { "content-type": "application/json", "s2-request-token": token },
				body: JSON.stringify({ basin: name }),
			});
		const [first, again, other] = [await create("one"), await create("one"), await create("two")];
		assert.deepEqual([first.status, again.status, other.status], [201, 201, 409]);
		assert.equal(first.headers.get("s2-provision-result"), "created");
		assert.equal(again.headers.get("s2-provision-result"), "noop");
		assert.deepEqual(await again.json(), await first.json());
	});
});

describe("account", limit, () => {
	const s2 = connect({ retry: once });

	test("a broker has a location, and basins live in it", async () => {
		const local = await s2.locations.getDefault();
		assert.deepEqual(await s2.locations.list(), [local]);
		assert.deepEqual(await s2.locations.setDefault({ location: local.name }), local);
		await fails(s2.locations.setDefault({ location: "aws:nowhere-1" }), 422, "invalid");
	});

	test("an access token is issued once, listed and revoked", async () => {
		const id = uniqueName("token");
		const token = { id, scope: { basins: { prefix: "" }, ops: ["list-basins" as const] } };
		assert.match((await s2.accessTokens.issue(token)).accessToken, /^[!-~]+$/);
		await fails(s2.accessTokens.issue(token), 409, "resource_already_exists");
		const listed = await s2.accessTokens.list({ prefix: id });
		assert.deepEqual(listed.accessTokens.map((info) => info.id), [id]);
		await s2.accessTokens.revoke({ id });
		await fails(s2.accessTokens.revoke({ id }), 404, "access_token_not_found");
	});
});
