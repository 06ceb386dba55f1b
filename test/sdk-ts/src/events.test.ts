import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { S2Stream } from "@s2-dev/streamstore";
import { connect, endpoint, limit, newBasin, numbered, once, texts } from "./support/client.js";
import { type ServerEvent, events } from "./support/events.js";

/** What a page does: new EventSource(url) cannot set headers but Last-Event-ID, which it sends when it comes back. */
function open(basin: string, query: string, lastEventId?: string, signal?: AbortSignal): Promise<Response> {
	return fetch(`${endpoint()}/v1/streams/s/records?${query}`, {
		headers: {
			accept: "text/event-stream",
			"cache-control": "no-cache",
			origin: "http://localhost:3000",
			"s2-basin": basin,
			...(lastEventId !== undefined && { "last-event-id": lastEventId }),
		},
		...(signal && { signal }),
	});
}

const bodiesOf = (event: ServerEvent): string[] =>
	JSON.parse(event.data).records.map((record: { body: string }) => record.body);

describe("server-sent events", limit, () => {
	const s2 = connect({ retry: once });
	const fresh = async (): Promise<[string, S2Stream]> => {
		const basin = await newBasin(s2, "events");
		await basin.streams.create({ stream: "s" });
		return [basin.name, basin.stream("s")];
	};

	test("headers are those that pages and proxies need", async () => {
		const [basin] = await fresh();
		const response = await open(basin, "seq_num=0&count=0&wait=1");
		assert.equal(response.status, 200);
		assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
		assert.match(response.headers.get("cache-control") ?? "", /no-cache/);
		assert.equal(response.headers.get("x-accel-buffering"), "no");
		assert.equal(response.headers.get("content-encoding"), null);
		assert.ok(["*", "http://localhost:3000"].includes(response.headers.get("access-control-allow-origin") ?? ""));
		await response.body?.cancel();
	});

	test("a page that comes back again and again sees each record once", async () => {
		const [basin, stream] = await fresh();
		const total = 500;
		const write = async (from: number, to: number) => {
			for (let next = from; next < to; next += 5) await stream.append(numbered(next, next + 5));
		};
		// The first visit sees no more than the first half.
		let writing = write(0, total / 2);
		let written = total / 2;

		const seen: string[] = [];
		let lastEventId: string | undefined;
		let visits = 0;
		while (seen.length < total) {
			// The query stays what it was: the id that is sent back stands before its start.
			const response = await open(basin, "seq_num=0", lastEventId);
			assert.equal(response.status, 200);
			visits++;
			let batches = 0;
			for await (const event of events(response)) {
				if (event.event !== "batch") continue;
				seen.push(...bodiesOf(event));
				assert.match(event.id, /^\d+,\d+,\d+$/);
				lastEventId = event.id;
				assert.equal(Number(event.id.split(",")[0]), seen.length - 1);
				if (++batches === 3 || seen.length >= written) break; // the connection is lost
			}
			if (visits === 1) {
				writing = writing.then(() => write(total / 2, total));
				written = total;
			}
		}
		await writing;
		assert.deepEqual(seen, Array.from({ length: total }, (_, i) => String(i)));
		assert.ok(visits > 1);
	});

	test("limits go on where they were", async () => {
		const [basin, stream] = await fresh();
		await stream.append(numbered(0, 4));
		await stream.append(numbered(4, 30));
		const first: ServerEvent[] = [];
		const query = "seq_num=0&count=20&wait=5";
		for await (const event of events(await open(basin, "seq_num=0&count=4"))) first.push(event);
		assert.deepEqual(first.filter((e) => e.event === "batch").flatMap(bodiesOf), ["0", "1", "2", "3"]);
		assert.equal(first.at(-1)?.data, "[DONE]");
		const id = first.find((e) => e.event === "batch")!.id;
		assert.equal(id, "3,4,36");

		const rest: ServerEvent[] = [];
		for await (const event of events(await open(basin, query, id))) rest.push(event);
		assert.deepEqual(
			rest.filter((e) => e.event === "batch").flatMap(bodiesOf),
			Array.from({ length: 16 }, (_, i) => String(4 + i)),
		);
		assert.equal(rest.at(-1)?.data, "[DONE]");
	});

	test("a page that waits hears pings and then the record", async () => {
		const [basin, stream] = await fresh();
		const response = await open(basin, "seq_num=0");
		let pings = 0;
		for await (const event of events(response)) {
			if (event.event === "ping") {
				pings++;
				const ping = JSON.parse(event.data);
				assert.ok(Math.abs(ping.timestamp - Date.now()) < 60_000);
				if (pings > 1) continue; // While the append takes long there are more.
				assert.deepEqual(ping.tail, { seq_num: 0, timestamp: 0 });
				await stream.append(texts("news"));
				continue;
			}
			assert.equal(event.event, "batch");
			assert.deepEqual(bodiesOf(event), ["news"]);
			break;
		}
		assert.ok(pings > 0);
	});

	test("what is no id is refused", async () => {
		const [basin] = await fresh();
		for (const id of ["x", "1", "1,2", "1,2,3,4", "-1,0,0", "1, 2, 3"]) {
			const response = await open(basin, "seq_num=0", id);
			assert.equal(response.status, 400, id);
			assert.equal(((await response.json()) as { code: string }).code, "bad_header", id);
		}
	});

	test("a preflight lets pages of this machine name the basin, and no others", async () => {
		const preflight = (origin: string) =>
			fetch(`${endpoint()}/v1/streams/s/records`, {
				method: "OPTIONS",
				headers: {
					origin,
					"access-control-request-method": "GET",
					"access-control-request-headers": "s2-basin,last-event-id,authorization",
				},
			});
		assert.equal((await preflight("http://page.example")).status, 403);
		const response = await preflight("http://localhost:3000");
		assert.ok(response.ok, `status ${response.status}`);
		const allowed = (response.headers.get("access-control-allow-headers") ?? "").toLowerCase();
		assert.ok(allowed === "*" || ["s2-basin", "last-event-id", "authorization"].every((name) => allowed.includes(name)), allowed);
	});
});
