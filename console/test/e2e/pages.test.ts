/** Every page, small and large, light and dark: nothing that axe finds, nothing that runs out of the screen, and its picture. */
import { AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { mkdirSync } from "node:fs";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { drawing, live, pictures, setup, texts, tooWide, violations } from "./support";

const t = setup({ flags: ["--nats-listen", "127.0.0.1:0"] });
const orders = "/dashboard/basins/demo-basin/stream?name=orders%2Feu";
const views: Array<{ name: string; path: string; ready: (page: Page) => Promise<unknown> }> = [
	{ name: "basins", path: "/dashboard", ready: (page) => page.getByRole("link", { name: "demo-basin", exact: true }).waitFor() },
	{ name: "create-basin", path: "/dashboard", ready: async (page) => {
		await page.getByRole("button", { name: "Create basin" }).click();
		await page.getByText("Configuration of new streams").click();
	} },
	{ name: "streams", path: "/dashboard/basins/demo-basin", ready: (page) => page.getByRole("link", { name: "Folder orders/" }).waitFor() },
	{ name: "basin-config", path: "/dashboard/basins/demo-basin?tab=config", ready: (page) => page.getByText("inherited from").first().waitFor() },
	{ name: "records", path: `${orders}&at=seq:200&record=203`, ready: async (page) => {
		await page.getByRole("complementary").getByText('"paid"').waitFor();
		await page.locator("#record-204").getByText("event").or(page.locator(".detail")).first().waitFor();
	} },
	{ name: "live", path: orders, ready: (page) => live(page).waitFor() },
	{ name: "append", path: `${orders}&tab=append`, ready: async (page) => {
		await page.getByLabel("Body").fill('{"id":1001,"event":"created"}');
		await page.getByRole("button", { name: "Append the record" }).click();
		await page.getByText("Stored as record").waitFor();
	} },
	{ name: "commands", path: "/dashboard/basins/demo-basin/stream?name=fenced&tab=commands", ready: async (page) => {
		await page.locator(".facts").getByText("writer-7").waitFor();
		await page.getByLabel("Trim all records below").fill("3");
	} },
	{ name: "stream-config", path: `${orders}&tab=config`, ready: async (page) => {
		await page.getByRole("button", { name: "Edit" }).click();
		await page.getByRole("button", { name: "Save" }).waitFor();
	} },
	{ name: "encrypted", path: "/dashboard/basins/secret-basin/stream?name=diary", ready: (page) => page.getByLabel("Encryption key").waitFor() },
	{ name: "usage", path: "/dashboard/basins/demo-basin?tab=usage&range=1h", ready: (page) => page.locator("canvas").nth(3).waitFor() },
	{ name: "account-usage", path: "/dashboard/usage?range=1h", ready: (page) => page.locator("canvas").first().waitFor() },
	{ name: "broker", path: "/dashboard/broker", ready: async (page) => {
		await page.getByText("healthy", { exact: true }).waitFor();
		await page.locator("canvas").nth(1).waitFor();
		// A picture wants something to show.
		for (let i = 0; drawing && i < 60; i++) {
			const batch = texts(...Array.from({ length: 20 + Math.round(15 * Math.sin(i / 6)) }, (_, k) => `${i}.${k}`));
			await t.s2().basin("demo-basin").stream("metrics").append(batch);
			await new Promise((resolve) => setTimeout(resolve, 250));
		}
	} },
	{ name: "tokens", path: "/dashboard/tokens", ready: (page) => page.getByRole("rowheader", { name: "orders-reader" }).waitFor() },
	{ name: "issue-token", path: "/dashboard/tokens", ready: async (page) => {
		await page.getByRole("button", { name: "Issue a token" }).click();
		await page.getByRole("textbox", { name: "Id" }).fill("reports");
	} },
	{ name: "snippets", path: `${orders}&at=seq:200`, ready: async (page) => {
		await page.locator("#record-205").waitFor();
		await page.getByRole("button", { name: "Snippets" }).click();
		await page.getByRole("radio", { name: "TypeScript" }).click();
	} },
	{ name: "missing", path: "/dashboard/basins/demo-basin/stream?name=none", ready: (page) => page.getByText("stream_not_found").waitFor() },
	{ name: "nowhere", path: "/dashboard/none", ready: (page) => page.getByText("There is no such page").waitFor() },
];

beforeAll(async () => {
	const s2 = t.s2();
	await s2.basins.create({ basin: "demo-basin", config: { createStreamOnAppend: true, defaultStreamConfig: { retentionPolicy: { ageSecs: 604_800 * 4 } } } });
	await s2.basins.create({ basin: "secret-basin", config: { createStreamOnAppend: true, streamCipher: "aegis-256" } });
	for (const basin of ["billing-prod", "billing-staging", "team-search"]) await s2.basins.create({ basin });
	const demo = s2.basin("demo-basin");
	const events = ["created", "paid", "packed", "shipped", "returned"];
	const order = (i: number) =>
		AppendRecord.string({
			body: JSON.stringify({ id: 1000 + i, event: i === 203 ? "paid" : events[(i * 7) % 5], amount: ((i * 37) % 9000) / 100, items: [{ sku: `A${i % 17}`, n: 1 + (i % 3) }], customer: { name: "Zoë", vip: i % 7 === 0 } }),
			headers: [["type", "order"], ["region", "eu"]],
		});
	for (let i = 0; i < 1000; i += 100) await demo.stream("orders/eu").append(AppendInput.create(Array.from({ length: 100 }, (_, k) => order(i + k))));
	for (const name of ["orders/us", "orders/archive/2025", "users/42/chat", "greetings", "metrics"]) await demo.stream(name).append(texts("hello"));
	await demo.stream("fenced").append(AppendInput.create([AppendRecord.fence("writer-7")]));
	await demo.stream("fenced").append(texts("a", "b", "c", "d"));
	await s2.basin("secret-basin").stream("diary").withEncryptionKey(Buffer.alloc(32, "k").toString("base64")).append(texts("whisper"));
	await s2.accessTokens.issue({ id: "orders-reader", scope: { basins: { exact: "demo-basin" }, streams: { prefix: "orders/" }, opGroups: { stream: { read: true } }, ops: ["list-streams"] } });
	await s2.accessTokens.issue({ id: "billing", expiresAt: new Date(Date.now() + 30 * 86_400_000), scope: { basins: { prefix: "billing-" }, streams: { prefix: "" }, opGroups: { basin: { read: true, write: true }, stream: { read: true, write: true } } } });
	await demo.stream("orders/eu").read({ start: { from: { seqNum: 0 } } });
	if (!drawing) return;
	mkdirSync(pictures, { recursive: true });
	await new Promise((resolve) => setTimeout(resolve, 11_000)); // Usage is written every ten seconds.
});

describe.each([
	{ width: 1280, height: 800, dark: false },
	{ width: 320, height: 700, dark: true },
])("$width px wide, dark: $dark", ({ width, height, dark }) => {
	test.each(views)("$name", async ({ name, path, ready }) => {
		const page = await t.open(path, { width, height, dark });
		await ready(page);
		await expect.poll(() => violations(page)).toEqual([]);
		await expect.poll(() => tooWide(page)).toBeLessThanOrEqual(0);
		if (drawing) await page.screenshot({ path: `${pictures}${name}${dark ? "-small-dark" : ""}.png` });
	});
});

test("every control of a page can be reached by Tab, and shows that it is", async () => {
	const page = await t.open(orders);
	await page.locator("#record-999").waitFor();
	await page.keyboard.press("f"); // A list that follows moves.
	await page.getByText("Paused").waitFor();
	const reached = new Set<string>();
	for (let i = 0; i < 60; i++) {
		await page.keyboard.press("Tab");
		const at = await page.evaluate(() => {
			const el = document.activeElement;
			if (!el || el === document.body) return null;
			const style = getComputedStyle(el);
			const wrap = el.closest("label");
			const outlined = style.outlineStyle !== "none" || (wrap !== null && getComputedStyle(wrap).outlineStyle !== "none");
			return { what: el.getAttribute("aria-label") ?? el.textContent?.trim() ?? el.tagName, outlined };
		});
		if (at === null) break;
		expect(at.outlined, `${at.what} shows its focus`).toBe(true);
		reached.add(at.what);
	}
	for (const what of ["Skip to the content", "Basins", "Snippets", "Delete", "Append", "Usage", "Find in the loaded records", "Records of orders/eu"]) {
		expect([...reached]).toContain(what);
	}
});

test("shortcuts", async () => {
	const page = await t.open("/dashboard");
	await page.getByRole("link", { name: "demo-basin", exact: true }).waitFor();
	// The second key counts for a moment after the first: a slow machine needs to try again.
	const goTo = async (key: string, heading: string) => {
		await expect
			.poll(async () => {
				await page.keyboard.press("g");
				await page.keyboard.press(key);
				return await page.getByRole("heading", { name: heading, exact: true }).isVisible();
			})
			.toBe(true);
	};
	await goTo("t", "Access tokens");
	await goTo("o", "Broker");
	await page.keyboard.press("?");
	await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
	await page.keyboard.press("Escape");
	await page.getByRole("dialog").waitFor({ state: "detached" });
	await goTo("b", "Basins");
	await page.keyboard.press("/");
	await page.keyboard.type("bill");
	await page.getByText("2 basins").waitFor();
	expect(page.url()).toContain("prefix=bill");
});

test("how long the first paint takes, and what is loaded for it", async () => {
	const page = await t.open("/dashboard");
	await page.getByRole("link", { name: "demo-basin", exact: true }).waitFor();
	const figures = await page.evaluate(() => ({
		paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
		script: performance.getEntriesByType("resource").filter((e) => e.name.endsWith(".js")).reduce((sum, e) => sum + (e as PerformanceResourceTiming).encodedBodySize, 0),
	}));
	console.log(`first contentful paint ${Math.round(figures.paint ?? Number.NaN)} ms, ${Math.round(figures.script / 1024)} KiB of compressed script`);
	expect(figures.script).toBeGreaterThan(0);
	expect(figures.script).toBeLessThan(300_000);
});
