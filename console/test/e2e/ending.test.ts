/** Streams that end, and streams that begin with the records of others. */
import { expect, test } from "vitest";
import { live, newBasin, row, setup, streamPath, texts } from "./support";

const t = setup();

test("a stream is closed: its page says so, and asks for no more", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("reply");
	await stream.append(texts("once", "upon"));
	const page = await t.open(streamPath(basin.name, "reply", { tab: "commands" }));
	await page.getByText("The stream is open.").waitFor();
	await page.getByRole("button", { name: "Close the stream…" }).click();
	await page.getByText("Record 1 is the last one of").waitFor();
	// Somebody appends while the question stands.
	await stream.append(texts("a time"));
	await page.getByRole("button", { name: "Close the stream", exact: true }).click();
	await page.getByText("the next seq_num is 3").waitFor();
	await page.locator(".facts dd").filter({ hasText: /^3/ }).first().waitFor();
	await page.getByRole("button", { name: "Close the stream…" }).click();
	await page.getByRole("button", { name: "Close the stream", exact: true }).click();
	await page.getByText("The stream is closed, with 3 as its tail.").waitFor();

	await page.getByRole("link", { name: "Append", exact: true }).click();
	await page.getByText("It takes no record any more").waitFor();
	expect(await page.getByRole("button", { name: "Append the record" }).isDisabled()).toBe(true);

	let sessions = 0;
	let looks = 0;
	page.on("request", (request) => {
		if (request.url().endsWith("/records/tail")) looks++;
		else if (request.url().includes("/records?") && request.headers()["accept"]?.includes("event-stream")) sessions++;
		else if (request.headers()["content-type"]?.startsWith("s2s")) sessions++;
	});
	await page.getByRole("link", { name: "Records", exact: true }).click();
	await page.getByText("Closed: no record follows").waitFor();
	await row(page, 2).getByText("a time").waitFor();
	const { sessions: then, looks: seen } = { sessions, looks };
	await expect.poll(() => looks).toBeGreaterThan(seen + 1); // It looks at the tail now and then: the stream may be made anew.
	expect(sessions).toBe(then);
});

test("a stream that is closed while it is followed ends with its last record", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("reply");
	await stream.append(texts("once"));
	const page = await t.open(streamPath(basin.name, "reply"));
	await row(page, 0).getByText("once").waitFor();
	await live(page).waitFor();
	const answer = await fetch(`${t.broker().endpoint}/v1/streams/reply/records`, {
		method: "POST",
		headers: { "content-type": "application/json", "s2-basin": basin.name },
		body: '{"records":[{"body":"the end"},{"headers":[["","close"]]}]}',
	});
	expect(answer.status).toBe(200);
	await page.getByText("Closed: no record follows").waitFor();
	await row(page, 1).getByText("the end").waitFor();
	await row(page, 2).getByText("closed the stream: no record follows").waitFor();
});

test("a fork begins with the records below a seq_num, and goes on by itself", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("chat/7").append(texts("a", "b", "c"));
	const page = await t.open(streamPath(basin.name, "chat/7", { at: "seq:0" }));
	await row(page, 2).waitFor();
	await page.getByRole("button", { name: "Fork" }).click();
	const name = page.getByLabel("Name of the fork");
	expect(await name.inputValue()).toBe("chat/7-fork");
	await name.fill("chat/7");
	await page.getByText("That is this stream.").waitFor();
	await name.fill("chat/7-retry");
	const below = page.getByLabel("Share the records below");
	await below.fill("4");
	await page.getByText("At most the tail, 3.").waitFor();
	await below.fill("2");
	await page.getByRole("dialog").getByRole("button", { name: "Fork", exact: true }).click();
	await page.getByRole("heading", { name: "chat/7-retry" }).waitFor();
	await row(page, 1).getByText("b", { exact: true }).waitFor();
	await page.getByText("2 records, 0 to 1").waitFor();
	await basin.stream("chat/7-retry").append(texts("another end"));
	await row(page, 2).getByText("another end").waitFor();
	expect((await basin.stream("chat/7").checkTail()).tail.seqNum).toBe(3);
});

test("an append whose answer leaves open what was stored is not called failed", async () => {
	const basin = await newBasin(t.s2());
	await basin.streams.create({ stream: "s" });
	const page = await t.open(streamPath(basin.name, "s", { tab: "append" }));
	await page.getByLabel("Body").fill("uncertain");
	await page.getByText("no token is needed").waitFor();
	await page.route("**/records", (route) => route.fulfill({ status: 500, contentType: "application/json", body: '{"code":"storage","message":"the store failed"}' }));
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("Whether the records are stored is not known.").waitFor();
	expect(await page.getByText("Nothing was stored.").count()).toBe(0);
});

test("a stream gets an expiry and a content type, and loses them", async () => {
	const basin = await newBasin(t.s2());
	await basin.streams.create({ stream: "session" });
	const page = await t.open(streamPath(basin.name, "session", { tab: "config" }));
	const config = async () => {
		const answer = await fetch(`${t.broker().endpoint}/v1/streams/session`, { headers: { "s2-basin": basin.name } });
		const { expiry, content_type } = (await answer.json()) as { expiry?: unknown; content_type?: unknown };
		return { expiry, content_type };
	};
	await page.getByRole("button", { name: "Edit", exact: true }).click();
	await page.getByLabel("Expires, with all records").selectOption("idle");
	await page.getByLabel("Not used for", { exact: true }).fill("2");
	await page.getByLabel("Content type").fill("application/json");
	await page.getByRole("button", { name: "Save" }).click();
	await page.getByText("when not used for 2 days").waitFor();
	expect(await config()).toEqual({ expiry: { idle_secs: 172_800 }, content_type: "application/json" });
	await page.getByRole("button", { name: "Edit", exact: true }).click();
	await page.getByLabel("Expires, with all records").selectOption("never");
	await page.getByLabel("Content type").fill("");
	await page.getByRole("button", { name: "Save" }).click();
	await page.getByRole("button", { name: "Edit", exact: true }).waitFor();
	await expect.poll(config).toEqual({});
});
