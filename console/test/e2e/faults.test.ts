import { AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { beforeEach, expect, test } from "vitest";
import { newBasin, row, setup, streamPath, texts } from "./support";

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
	await page.getByText(/^Live(?:, [\d.]+ records\/s)?$/).last().waitFor();
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
	await page.getByText("healthy").waitFor();
});

test("a stream that is deleted while it is open", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("doomed");
	await stream.append(texts("x"));
	const page = await t.open(streamPath(basin.name, "doomed"));
	await row(page, 0).waitFor();
	await basin.streams.delete({ stream: "doomed" });
	await page.getByText(/stream_not_found|stream_deletion_pending/).waitFor();
	await page.getByText("The streams of").waitFor();
});

test("a stream that is deleted and made anew while it is open is another one", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("again");
	await stream.append(texts("old 0", "old 1", "old 2"));
	const page = await t.open(streamPath(basin.name, "again", { at: "seq:0" }));
	await row(page, 2).waitFor();
	await basin.streams.delete({ stream: "again" });
	await expect.poll(async () => (await basin.streams.create({ stream: "again" }).then(() => true, () => false)), { timeout: 20_000 }).toBe(true);
	await stream.append(texts("new 0"));
	const retry = page.getByRole("button", { name: "Try again" });
	await expect
		.poll(async () => {
			if (await retry.isVisible()) await retry.click().catch(() => {});
			return await row(page, 0).innerText().catch(() => "");
		}, { timeout: 20_000 })
		.toContain("new 0");
	expect(await row(page, 2).count()).toBe(0);
});

test("records that are trimmed while they are looked at", async () => {
	const basin = await newBasin(t.s2());
	const stream = basin.stream("s");
	await stream.append(texts("a", "b", "c", "d"));
	const page = await t.open(streamPath(basin.name, "s"));
	await row(page, 3).waitFor();
	await stream.append(AppendInput.create([AppendRecord.trim(3)]));
	await page.getByText("2 records, 3 to 4").waitFor({ timeout: 25_000 });
	await row(page, 0).waitFor({ state: "detached" });
	await row(page, 3).getByText("d", { exact: true }).waitFor();
});

test("a slow connection: rows say that they are loading, and the page answers meanwhile", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("s").append(texts(...Array.from({ length: 500 }, (_, i) => `row ${i}`)));
	const page = await t.open(streamPath(basin.name, "s", { at: "seq:0" }));
	await row(page, 0).waitFor();
	let release = () => {};
	const held = new Promise<void>((resolve) => {
		release = resolve;
	});
	await page.route("**/records?**", async (route) => {
		await held;
		await route.continue().catch(() => {});
	});
	await page.locator(".grid").focus();
	await page.keyboard.press("End");
	await row(page, 499).getByText("…").waitFor();
	await page.keyboard.press("?");
	await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
	await page.keyboard.press("Escape");
	release();
	await row(page, 499).getByText("row 499").waitFor();
});
