import { AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { currentRow, flood, hold, live, newBasin, row, rows, setup, streamPath, texts } from "./support";

const t = setup();

describe("a million records", () => {
	test("are scrolled through without the page growing", async () => {
		const basin = await newBasin(t.s2());
		await flood(t.broker().endpoint, basin.name, "million", 1000);
		const page = await t.open(streamPath(basin.name, "million", { at: "seq:0" }));
		await row(page, 0).waitFor();
		await page.getByText("1,000,000 records, 0 to 999,999").waitFor();
		const cdp = await page.context().newCDPSession(page);
		const measure = async () => {
			await cdp.send("HeapProfiler.collectGarbage");
			const { usedSize } = await cdp.send("Runtime.getHeapUsage");
			return { heap: usedSize, nodes: await page.locator("*").count() };
		};
		const before = await measure();
		// The scroll bar is dragged to forty places; each shows the records that are there.
		for (let i = 1; i <= 40; i++) {
			const share = (i * 7919) % 101 / 101;
			await page.locator(".grid").evaluate((el, share) => { el.scrollTop = share * el.scrollHeight; }, share);
			const shown = async () => (await page.locator(".row-line .seq").allInnerTexts()).map((text) => Number(text.replaceAll(",", "")));
			await expect.poll(async () => Math.abs(((await shown())[0] ?? -1) - share * 1_000_000)).toBeLessThan(2000);
			await expect.poll(async () => (await rows(page)).filter((text) => text.includes("…")).length).toBe(0);
			const seen = await shown();
			expect(seen.length).toBeGreaterThan(5);
			expect(seen).toEqual(seen.map((_, k) => (seen[0] ?? -1) + k));
		}
		const after = await measure();
		expect(after.nodes).toBeLessThan(before.nodes + 200);
		expect(after.heap).toBeLessThan(before.heap + (30 << 20));
		// The ends, by keys.
		await page.locator(".grid").focus();
		await page.keyboard.press("End");
		await row(page, 999_999).waitFor();
		await page.keyboard.press("Home");
		await row(page, 0).waitFor();
		// A wheel moves by rows, not by shares.
		await page.locator(".grid").hover();
		await page.mouse.wheel(0, 280);
		await row(page, 10).waitFor();
		await expect.poll(async () => Number((await rows(page))[0]?.split("\n")[0])).toBe(10);
	});
});

describe("the records of a stream", () => {
	test("a reload and a link lead to the same view", async () => {
		const basin = await newBasin(t.s2());
		await flood(t.broker().endpoint, basin.name, "s", 5);
		const { records } = await basin.stream("s").read({ start: { from: { seqNum: 3905 } }, stop: { limits: { count: 1 } } });
		const body = records[0]?.body ?? "";
		const page = await t.open(streamPath(basin.name, "s", { at: "last:1000" }));
		await row(page, 4000).waitFor();
		await page.locator(".grid").hover();
		await page.mouse.wheel(0, -2800);
		await expect.poll(async () => (await rows(page))[0]?.split("\n")[0]).toBe("3,900"); // Wheels may scroll by and by.
		await row(page, 3905).click();
		await page.getByRole("complementary", { name: "Record 3905" }).getByText(body, { exact: true }).waitFor();
		await expect.poll(() => new URL(page.url()).searchParams.get("at")).toBe("seq:3900");
		const url = page.url();
		const seen = (await rows(page)).map((text) => text.split("\n")[0]);
		await page.reload();
		await page.getByRole("complementary", { name: "Record 3905" }).getByText(body, { exact: true }).waitFor();
		await expect.poll(async () => (await rows(page)).map((text) => text.split("\n")[0])).toEqual(seen);
		expect(page.url()).toBe(url);
		await page.goBack();
	});

	test("by keys alone: move, open, go on, close", async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("s").append(texts("zero", "one", "two", "three"));
		const page = await t.open(streamPath(basin.name, "s", { at: "seq:0" }));
		await currentRow(page, 0).waitFor();
		await page.locator(".grid").focus();
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("j");
		await page.keyboard.press("k");
		await page.keyboard.press("Enter");
		await page.getByRole("complementary", { name: "Record 1" }).getByText("one", { exact: true }).waitFor();
		await page.getByRole("button", { name: "Next record" }).focus();
		await page.keyboard.press("Enter");
		await page.getByRole("complementary", { name: "Record 2" }).getByText("two", { exact: true }).waitFor();
		await page.keyboard.press("Escape");
		await page.getByRole("complementary").waitFor({ state: "detached" });
		await page.keyboard.press("/");
		await page.keyboard.type("THREE");
		await page.getByText("1 in 4 loaded").waitFor();
		await page.keyboard.press("Enter");
		await page.waitForFunction(() => document.querySelector("#record-3.current mark")?.textContent === "three");
	});

	test("a start beyond the tail, and one that was trimmed", async () => {
		const basin = await newBasin(t.s2());
		const stream = basin.stream("s");
		await stream.append(texts("a", "b", "c"));
		await stream.append(AppendInput.create([AppendRecord.trim(2)]));
		for (const at of ["seq:0", "seq:99999", "time:99999999999999", "last:50"]) {
			const page = await t.open(streamPath(basin.name, "s", { at }));
			await row(page, 2).getByText("c", { exact: true }).waitFor();
			await page.getByText("2 records, 2 to 3").waitFor();
		}
		const page = await t.open(streamPath(basin.name, "s", { record: "0" }));
		await page.getByText("It was trimmed or has expired").waitFor();
	});

	test("a record of 1 MiB is shown in parts, and downloaded whole", async () => {
		const basin = await newBasin(t.s2());
		const body = "0123456789abcdef".repeat((1 << 16) - 1);
		await basin.stream("s").append(texts(body));
		const page = await t.open(streamPath(basin.name, "s", { at: "seq:0", record: "0" }));
		const detail = page.getByRole("complementary");
		await detail.getByText("64.0 KiB of").waitFor();
		expect((await detail.getByRole("region", { name: "The body" }).innerText()).length).toBe(64 << 10);
		await detail.getByRole("button", { name: "Show more" }).click();
		await detail.getByText("320 KiB of").waitFor();
		const [download] = await Promise.all([page.waitForEvent("download"), detail.getByRole("button", { name: "Download the body" }).click()]);
		expect(download.suggestedFilename()).toBe(`${basin.name}.s.0.bin`);
		expect((await readFile(await download.path())).toString()).toBe(body);
	});

	test("bodies and headers that are not UTF-8", async () => {
		const basin = await newBasin(t.s2());
		const bytes = Uint8Array.from({ length: 300 }, (_, i) => i % 256);
		await basin.stream("s").append(AppendInput.create([AppendRecord.bytes({ body: bytes, headers: [[Uint8Array.of(0xff), Uint8Array.of(0, 1)]] })]));
		const page = await t.open(streamPath(basin.name, "s", { record: "0" }));
		const detail = page.getByRole("complementary");
		await detail.getByText("0xff").waitFor();
		expect(await detail.getByRole("region", { name: "The body" }).innerText()).toContain("00000010  10 11 12 13");
		await detail.getByRole("radio", { name: "Base64" }).click();
		await expect.poll(() => detail.getByRole("region", { name: "The body" }).innerText()).toBe(Buffer.from(bytes).toString("base64"));
		await row(page, 0).getByText("0x0001").waitFor();
	});

	test("JSON folds, and keeps its numbers", async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("s").append(texts('{"id":12345678901234567890,"list":[{"deep":{"er":[1,2,3,4]}}]}'));
		const page = await t.open(streamPath(basin.name, "s", { record: "0" }));
		const json = page.locator(".json");
		await json.getByText("12345678901234567890").waitFor();
		await json.getByText("4 items").click();
		await json.getByText("4", { exact: true }).waitFor();
	});

	test("an encrypted stream asks for its key, keeps it in memory only, and tells a wrong one", async () => {
		const basin = await newBasin(t.s2(), { createStreamOnAppend: true, streamCipher: "aegis-256" });
		const key = Buffer.alloc(32, "k").toString("base64");
		await basin.stream("s").withEncryptionKey(key).append(texts("whisper"));
		const page = await t.open(streamPath(basin.name, "s"));
		await page.getByText("This stream is encrypted with aegis-256").waitFor();
		await page.getByLabel("Encryption key").fill(Buffer.alloc(32, "x").toString("base64"));
		await page.getByRole("button", { name: "Use this key" }).click();
		await page.getByText("record decryption failed").waitFor();
		await page.getByLabel("Encryption key").fill(key);
		await page.getByRole("button", { name: "Use this key" }).click();
		await row(page, 0).getByText("whisper").waitFor();
		const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
		expect(stored).not.toContain(key);
		await page.reload();
		await page.getByText("This stream is encrypted with aegis-256").waitFor();
	});
});

describe("following", () => {
	test("pause counts what comes, resume shows it", async () => {
		const basin = await newBasin(t.s2());
		const stream = basin.stream("s");
		await stream.append(texts("first"));
		const page = await t.open(streamPath(basin.name, "s"));
		await row(page, 0).waitFor();
		await page.getByRole("button", { name: "Pause" }).click();
		await stream.append(texts(...Array.from({ length: 25 }, (_, i) => `n${i}`)));
		await page.getByText("Paused, 25 came meanwhile").waitFor();
		await page.getByRole("button", { name: "Resume (+25)" }).click();
		await row(page, 25).getByText("n24").waitFor();
		await stream.append(texts("after"));
		await row(page, 26).getByText("after").waitFor();
	});

	test("a pause before the first answer is one", async () => {
		const basin = await newBasin(t.s2());
		const stream = basin.stream("s");
		await stream.append(texts("first"));
		const page = await t.open("/dashboard");
		let looks = 0;
		const held = await hold(page, "**/records/tail", () => looks++ > 0); // The first tells that there are records.
		await page.goto(t.broker().endpoint + streamPath(basin.name, "s"));
		await held.caught;
		await page.getByRole("button", { name: "Pause" }).click();
		await page.getByText("Paused, 0 came meanwhile").waitFor();
		await held.release();
		await stream.append(texts("second"));
		await page.getByText("Paused, 1 came meanwhile").waitFor();
		await page.getByRole("button", { name: "Resume (+1)" }).click();
		await row(page, 1).getByText("second").waitFor();
		await live(page).waitFor();
	});

	test("a hundred records a millisecond leave the page with few rows, and able to pause", async () => {
		const basin = await newBasin(t.s2());
		await basin.stream("fast").append(texts("first"));
		const page = await t.open(streamPath(basin.name, "fast"));
		await live(page).waitFor();
		const flooding = flood(t.broker().endpoint, basin.name, "fast", 400);
		await page.getByText("faster than can be read").waitFor();
		expect(await page.locator(".row-line").count()).toBeLessThan(60);
		await page.getByRole("button", { name: "Pause" }).click();
		await page.getByText(/Paused, [\d,]+ came meanwhile/).waitFor();
		await flooding;
		await page.getByRole("button", { name: /Resume/ }).click();
		await row(page, 400_000).waitFor();
		await expect.poll(async () => (await rows(page)).filter((text) => text.includes("…")).length).toBe(0);
		// It is live again when the flood is over.
		await live(page).waitFor();
		await basin.stream("fast").append(texts("calm"));
		await row(page, 400_001).getByText("calm").waitFor();
	});
});
