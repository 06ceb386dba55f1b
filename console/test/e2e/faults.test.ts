import { AppendInput, AppendRecord, type S2Basin } from "@s2-dev/streamstore";
import type { Page, Request } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { currentRow, hold, live, newBasin, row, setup, streamPath, texts } from "./support";

const t = setup();

// A test that failed may have left the broker down.
beforeEach(async () => {
	await t.broker().restart().catch(() => {});
});

test("a broker that is killed and started again: the page says so, and follows on without a gap", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("s");
	await stream.append(texts("before"));
	const page = await t.open(streamPath(basin.name, "s"));
	await row(page, 0).getByText("before").waitFor();
	await t.broker().kill();
	await page.getByText("The broker does not answer. What you see may be old").waitFor();
	await page.getByText("Interrupted").waitFor();
	await row(page, 0).getByText("before").waitFor(); // what was loaded stays
	await t.broker().restart();
	await page.getByText("The broker does not answer. What you see may be old").waitFor({ state: "detached" });
	await stream.append(texts("after", "and more"));
	await row(page, 2).getByText("and more").waitFor();
	await live(page).waitFor();
});

test("a broker that stops in order, and comes back", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("s");
	await stream.append(texts("before"));
	const page = await t.open(streamPath(basin.name, "s"));
	await row(page, 0).waitFor();
	const stopping = t.broker().terminate();
	await page.getByText("Interrupted").waitFor();
	await stopping;
	await t.broker().restart();
	await stream.append(texts("after"));
	await row(page, 1).getByText("after").waitFor();
});

test("an append without an answer is not called failed", async () => {
	const basin = await newBasin(t.s2());
	await basin.streams.create({ stream: "s" });
	const page = await t.open(streamPath(basin.name, "s", { tab: "append" }));
	await page.getByLabel("Body").fill("uncertain");
	await page.getByText("no token is needed").waitFor();
	await t.broker().kill();
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("Whether the records are stored is not known.").waitFor();
	await t.broker().restart();
	await page.getByText("What you see may be old").waitFor({ state: "detached" });
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("Stored as record").waitFor();
	expect(await page.getByLabel("Body").inputValue()).toBe("uncertain");
});

test("pages that were opened while the broker was away load when it is back", async () => {
	const basin = await newBasin(t.s2());
	const page = await t.open("/dashboard");
	await page.getByRole("link", { name: basin.name, exact: true }).waitFor();
	await t.broker().kill();
	await page.getByRole("link", { name: "Broker", exact: true }).click();
	await page.getByText("The broker does not answer. What you see may be old").waitFor();
	await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Basins" }).click();
	await t.broker().restart();
	await page.getByRole("link", { name: basin.name, exact: true }).waitFor();
	await page.getByRole("link", { name: "Broker", exact: true }).click();
	await page.getByText("healthy", { exact: true }).waitFor();
});

test("a stream that is deleted while it is open", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("doomed");
	await stream.append(texts("x"));
	const page = await t.open(streamPath(basin.name, "doomed"));
	await row(page, 0).getByText("x").waitFor();
	await basin.streams.delete({ stream: "doomed" });
	await page.getByText(/stream_not_found|stream_deletion_pending/).first().waitFor();
	await page.getByText("The streams of").waitFor();
});

describe("a stream that is deleted and made anew while it is open is another one", () => {
	const old = texts("old 0", "old 1", "old 2");
	const make = async (basin: S2Basin, ...bodies: string[]) => {
		// Its name is free again when the deletion is done.
		await expect.poll(() => basin.streams.create({ stream: "again" }).then(() => true, () => false)).toBe(true);
		await basin.stream("again").append(texts(...bodies));
	};
	/** A page with the rows of the old stream. */
	const shown = async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("again").append(old);
		const page = await t.open(streamPath(basin.name, "again", { at: "seq:0" }));
		await row(page, 2).getByText("old 2").waitFor();
		return { basin, page };
	};
	const bodies = async (page: Page) => await page.locator(".row-line .body").allInnerTexts();
	/** Whether a request reads more than the first record that is kept. */
	const ofRows = (request: Request) => new URL(request.url()).searchParams.get("count") !== "1";

	test("at once", async () => {
		const { basin, page } = await shown();
		await basin.streams.delete({ stream: "again" });
		await make(basin, "new 0");
		await expect.poll(() => bodies(page)).toEqual(["new 0"]);
	});

	test("with more records, when the page has seen it gone", async () => {
		const { basin, page } = await shown();
		await basin.streams.delete({ stream: "again" });
		const gone = page.getByText(/stream_not_found|stream_deletion_pending/);
		await gone.first().waitFor();
		await make(basin, "new 0", "new 1", "new 2", "new 3");
		await expect.poll(() => bodies(page)).toEqual(["new 0", "new 1", "new 2", "new 3"]);
		await expect.poll(() => gone.count()).toBe(0);
	});

	test("with as many records, between two looks at it", async () => {
		const { basin, page } = await shown();
		const looks = await hold(page, "**/records/tail", () => true);
		await basin.streams.delete({ stream: "again" });
		await make(basin, "new 0", "new 1", "new 2");
		await looks.release();
		await expect.poll(() => bodies(page)).toEqual(["new 0", "new 1", "new 2"]);
	});

	test("before its rows are read: they are those of the new one", async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("again").append(old);
		const page = await t.open("/dashboard");
		const reads = await hold(page, "**/records?**", ofRows);
		await page.goto(t.broker().endpoint + streamPath(basin.name, "again", { at: "seq:0" }));
		await reads.caught;
		await expect.poll(() => bodies(page)).toEqual(["…", "…", "…"]);
		const looks = await hold(page, "**/records/tail", () => true); // Reads tell it too.
		await basin.streams.delete({ stream: "again" });
		await make(basin, "new 0");
		await reads.release();
		await expect.poll(() => bodies(page)).toEqual(["new 0"]);
		await looks.release();
	});

	test("while rows of the old one are on their way: they are not shown", async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("again").append(old);
		const page = await t.open("/dashboard");
		let reads = 0;
		const read = await hold(page, "**/records?**", (request) => ofRows(request) && reads++ === 0, "answered");
		await page.goto(t.broker().endpoint + streamPath(basin.name, "again", { at: "seq:0" }));
		await read.caught;
		await basin.streams.delete({ stream: "again" });
		await make(basin, "new 0", "new 1");
		await expect.poll(() => bodies(page)).toEqual(["new 0", "new 1"]);
		await read.release();
		await page.getByText("2 records, 0 to 1").waitFor();
		expect(await bodies(page)).toEqual(["new 0", "new 1"]);
	});
});

test("an answer that is late does not take the page back", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("s");
	await stream.append(texts("a", "b", "c"));
	const page = await t.open(streamPath(basin.name, "s", { at: "seq:0" }));
	await row(page, 2).getByText("c", { exact: true }).waitFor();
	let looks = 0;
	const look = await hold(page, "**/records/tail", () => looks++ === 0, "answered");
	await look.caught;
	await stream.append(texts("d", "e"));
	await page.getByText("5 records, 0 to 4").waitFor();
	await page.locator(".grid").evaluate((grid) => { grid.id = "kept"; });
	await look.release();
	await (await page.waitForRequest("**/records/tail")).response();
	await page.getByText("5 records, 0 to 4").waitFor();
	expect(await page.locator("#kept").count()).toBe(1);
});

test("records that are trimmed while they are looked at", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("s");
	await stream.append(texts("a", "b", "c", "d"));
	const page = await t.open(streamPath(basin.name, "s"));
	await row(page, 3).waitFor();
	await stream.append(AppendInput.create([AppendRecord.trim(3)]));
	await page.getByText("2 records, 3 to 4").waitFor();
	await row(page, 0).waitFor({ state: "detached" });
	await row(page, 3).getByText("d", { exact: true }).waitFor();
});

test("a slow connection: rows say that they are loading, and the page answers meanwhile", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("s").append(texts(...Array.from({ length: 500 }, (_, i) => `row ${i}`)));
	const page = await t.open(streamPath(basin.name, "s", { at: "seq:0" }));
	await currentRow(page, 0).waitFor();
	const reads = await hold(page, "**/records?**", () => true);
	await page.locator(".grid").focus();
	await page.keyboard.press("End");
	await row(page, 499).getByText("…").waitFor();
	await page.keyboard.press("?");
	await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
	await page.keyboard.press("Escape");
	await reads.release();
	await row(page, 499).getByText("row 499").waitFor();
});
