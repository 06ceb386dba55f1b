/** Access tokens against a broker with a root token: what the SDK issues, what its holders may do, and what ends them. */
import { S2, S2Environment, type S2Error } from "@s2-dev/streamstore";
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Broker } from "./support/broker.js";
import { bodies, fails, limit, once, take, texts, unhurried, uniqueName } from "./support/client.js";

const binary = process.env["WEIR_BIN"] ?? assert.fail("WEIR_BIN must name the weir binary: use make test-sdk");
const secret = randomBytes(24).toString("base64url");
const start = { from: { seqNum: 0 } };
const everything = { prefix: "" };

for (const transport of ["s2s", "fetch"] as const) {
	describe(`access tokens, over ${transport}`, limit, () => {
		let dir: string;
		let broker: Broker;
		let root: S2;
		// An event that ends a session has a code and no status: the SDK gives 503 to all of them.
		const ended = async (reading: Promise<unknown>) => {
			const error = await fails(reading, transport === "fetch" ? 503 : 401);
			return `${error.code} ${error.message}`;
		};
		const holder = (accessToken: string) =>
			new S2({
				...S2Environment.parse(),
				accessToken,
				endpoints: { account: broker.endpoint, basin: broker.endpoint },
				...unhurried,
				retry: once,
			});
		const stream = (s2: S2, basin: string, name: string) => s2.basin(basin).stream(name, { forceTransport: transport });

		before(async () => {
			dir = await mkdtemp(join(tmpdir(), "weir-sdk-token-"));
			await writeFile(join(dir, "root.token"), secret, { mode: 0o600 });
			broker = await Broker.start(binary, "--root-token-file", join(dir, "root.token"));
			root = holder(secret);
			await root.basins.create({ basin: "team-a-basin", config: { createStreamOnAppend: true } });
			await root.basins.create({ basin: "team-b-basin", config: { createStreamOnAppend: true } });
			await stream(root, "team-a-basin", "logs/one").append(texts("a", "b"));
			await stream(root, "team-a-basin", "other").append(texts("c"));
			await stream(root, "team-b-basin", "logs/one").append(texts("d"));
		});
		after(async () => {
			await broker.stop();
			await rm(dir, { recursive: true, force: true });
		});

		test("without a token that is in force nothing is told", async () => {
			for (const token of ["wrong", "weir_" + "A".repeat(43), secret + "x"]) {
				const stranger = holder(token);
				await fails(stranger.basins.list(), 401, "authn");
				await fails(stream(stranger, "team-a-basin", "logs/one").checkTail(), 401, "authn");
				await fails(stream(stranger, "no-such-basin", "logs/one").checkTail(), 401, "authn");
				const session = stream(stranger, "team-a-basin", "logs/one").readSession({ start });
				await fails(session.then((opened) => take(opened, 1)), 401, "authn");
			}
		});

		test("issue, list, page, revoke", async () => {
			const prefix = uniqueName("page");
			const expiresAt = new Date(Date.now() + 3_600_000);
			for (const id of ["/a", "/b", "/c"]) {
				const { accessToken } = await root.accessTokens.issue({
					id: prefix + id,
					scope: { basins: { exact: "team-a-basin" }, streams: everything, opGroups: { stream: { read: true } } },
					expiresAt,
				});
				assert.match(accessToken, /^weir_[\w-]{43}$/);
			}
			const first = await root.accessTokens.list({ prefix, limit: 2 });
			assert.deepEqual(first.accessTokens.map((t) => t.id), [`${prefix}/a`, `${prefix}/b`]);
			assert.equal(first.hasMore, true);
			const info = first.accessTokens[0] ?? assert.fail("no token is listed");
			assert.equal(info.expiresAt?.getTime(), expiresAt.getTime());
			assert.equal(info.autoPrefixStreams, false);
			assert.deepEqual(info.scope.basins, { exact: "team-a-basin" });
			assert.deepEqual(info.scope.streams, { prefix: "" });
			assert.equal(info.scope.opGroups?.stream?.read, true);

			const ids: string[] = [];
			for await (const token of root.accessTokens.listAll({ prefix, limit: 1 })) ids.push(token.id);
			assert.deepEqual(ids, [`${prefix}/a`, `${prefix}/b`, `${prefix}/c`]);

			await fails(root.accessTokens.issue({ id: `${prefix}/a`, scope: { ops: ["read"] } }), 409, "resource_already_exists");
			await fails(root.accessTokens.issue({ id: `${prefix}/d`, scope: {} }), 422, "invalid");
			await root.accessTokens.revoke({ id: `${prefix}/b` });
			await fails(root.accessTokens.revoke({ id: `${prefix}/b` }), 404, "access_token_not_found");
			assert.equal((await root.accessTokens.list({ prefix })).accessTokens.length, 2);
		});

		test("a scope lets through what it names and nothing else", async () => {
			const { accessToken } = await root.accessTokens.issue({
				id: uniqueName("reader"),
				scope: {
					basins: { exact: "team-a-basin" },
					streams: { prefix: "logs/" },
					opGroups: { stream: { read: true } },
					ops: ["list-streams", "list-basins"],
				},
			});
			const reader = holder(accessToken);
			assert.deepEqual(bodies((await stream(reader, "team-a-basin", "logs/one").read({ start })).records), ["a", "b"]);
			const session = await stream(reader, "team-a-basin", "logs/one").readSession({ start });
			assert.deepEqual(bodies(await take(session, 2)), ["a", "b"]);
			await session.cancel();
			assert.deepEqual((await reader.basins.list()).basins.map((b) => b.name), ["team-a-basin"]);
			assert.deepEqual((await reader.basin("team-a-basin").streams.list()).streams.map((s) => s.name), ["logs/one"]);

			const refused = [
				stream(reader, "team-a-basin", "logs/one").append(texts("x")),
				stream(reader, "team-a-basin", "other").read({ start }),
				stream(reader, "team-a-basin", "missing").read({ start }),
				stream(reader, "team-b-basin", "logs/one").read({ start }),
				stream(reader, "no-such-basin", "logs/one").checkTail(),
				reader.basins.create({ basin: uniqueName("new") }),
				reader.basin("team-a-basin").streams.delete({ stream: "logs/one" }),
				reader.accessTokens.list(),
				reader.metrics.account({ set: "active-basins", start: new Date(Date.now() - 1000), end: new Date() }),
				reader.locations.setDefault({ location: "local" }),
			];
			const errors: S2Error[] = await Promise.all(refused.map((call) => fails(call, 403, "permission_denied")));
			// What exists out of the scope and what does not exist look the same.
			assert.equal(errors[1]?.message, errors[2]?.message);
			assert.equal(errors[3]?.message, errors[4]?.message);
		});

		test("an append session ends where its token ends, and keeps what it has acknowledged", async () => {
			const name = uniqueName("logs/cut");
			const id = uniqueName("writer");
			const { accessToken } = await root.accessTokens.issue({
				id,
				scope: { basins: { prefix: "team-a-" }, streams: { prefix: "logs/" }, opGroups: { stream: { read: true, write: true } } },
			});
			const writer = stream(holder(accessToken), "team-a-basin", name);
			const session = await writer.appendSession();
			await (await session.submit(texts("kept"))).ack();
			const follower = await writer.readSession({ start });
			assert.deepEqual(bodies(await take(follower, 1)), ["kept"]);

			await root.accessTokens.revoke({ id });
			assert.match(await ended(take(follower, 1)), /authn/);
			await assert.rejects(async () => {
				await (await session.submit(texts("late"))).ack();
				await session.close();
			});
			await fails(writer.checkTail(), 401, "authn");
			assert.deepEqual(bodies((await stream(root, "team-a-basin", name).read({ start })).records), ["kept"]);
		});

		test("a token that expires opens nothing any more", async () => {
			// A session must be open before the token expires: on a slow machine one that lives longer is needed.
			for (let life = 1500; ; life *= 2) {
				const expiresAt = new Date(Date.now() + life);
				const { accessToken } = await root.accessTokens.issue({
					id: uniqueName("brief"),
					scope: { basins: everything, streams: everything, ops: ["read", "check-tail"] },
					expiresAt,
				});
				const brief = stream(holder(accessToken), "team-a-basin", "logs/one");
				const follower = await brief.readSession({ start }).catch(() => undefined);
				const opened = await (follower && take(follower, 2).catch(() => undefined));
				if (!follower || !opened) {
					assert.ok(Date.now() >= expiresAt.getTime(), "the token opens nothing before it expires");
					continue;
				}
				assert.equal(opened.length, 2);
				assert.match(await ended(take(follower, 1)), /authn/);
				await fails(brief.checkTail(), 401, "authn");
				return;
			}
		});

		test("with auto-prefix the holder sees names without the prefix, and no others", async () => {
			const { accessToken } = await root.accessTokens.issue({
				id: uniqueName("tenant"),
				scope: {
					basins: { exact: "team-b-basin" },
					streams: { prefix: "user/42/" },
					opGroups: { basin: { read: true, write: true }, stream: { read: true, write: true } },
				},
				autoPrefixStreams: true,
			});
			const tenant = holder(accessToken);
			assert.equal((await tenant.basin("team-b-basin").streams.create({ stream: "notes" })).name, "notes");
			await stream(tenant, "team-b-basin", "notes").append(texts("mine"));
			await fails(stream(tenant, "team-b-basin", "logs/one").read({ start }), 404, "stream_not_found");
			const names = (await tenant.basin("team-b-basin").streams.list()).streams.map((s) => s.name);
			assert.deepEqual(names, ["notes"]);
			const real = await stream(root, "team-b-basin", "user/42/notes").read({ start });
			assert.deepEqual(bodies(real.records), ["mine"]);
		});

		test("a derived token is never wider than its issuer", async () => {
			const team = uniqueName("team");
			const { accessToken } = await root.accessTokens.issue({
				id: team,
				scope: {
					basins: { prefix: "team-a-" },
					streams: everything,
					accessTokens: { prefix: `${team}/` },
					opGroups: { account: { read: true, write: true }, stream: { read: true } },
				},
				expiresAt: new Date(Date.now() + 60_000),
			});
			const lead = holder(accessToken);
			const scope = { basins: { exact: "team-a-basin" }, streams: { prefix: "logs/" }, ops: ["read" as const] };
			const derived = await lead.accessTokens.issue({ id: `${team}/ci`, scope });
			assert.equal((await stream(holder(derived.accessToken), "team-a-basin", "logs/one").read({ start })).records.length, 2);
			const [info] = (await root.accessTokens.list({ prefix: `${team}/` })).accessTokens;
			assert.ok(info?.expiresAt, "a derived token that does not say when expires with its issuer");

			const wider = [
				{ id: `${team}/1`, scope: { ...scope, basins: { prefix: "team-" } } },
				{ id: `${team}/2`, scope: { ...scope, basins: { exact: "team-b-basin" } } },
				{ id: `${team}/3`, scope: { ...scope, ops: ["append" as const] } },
				{ id: `${team}/4`, scope, expiresAt: new Date(Date.now() + 3_600_000) },
				{ id: "elsewhere", scope },
			];
			for (const input of wider) await fails(lead.accessTokens.issue(input), 403, "permission_denied");
			await fails(lead.accessTokens.revoke({ id: "elsewhere" }), 403, "permission_denied");
			assert.deepEqual((await lead.accessTokens.list()).accessTokens.map((t) => t.id), [`${team}/ci`]);
		});
	});
}
