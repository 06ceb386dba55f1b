import { AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { expect, test } from "vitest";
import { newBasin, row, setup, streamPath, texts } from "./support";

const t = setup();

const odd = ["../x", "../../v1/basins", "a%2Fb", "%2e%2e", "😀/😀", "<script>alert(1)<", "<img src=x onerror=alert(1)>", "\u202egpj.exe", "a b", "?x=1&y=2#z", "a\\b", "//", "ünï", "x".repeat(512), "\n", "{stream}", "$&"];

test("streams with names of any characters are listed, opened, read and appended to", async () => {
	const basin = await newBasin(t.s2());
	for (const name of odd) await basin.stream(name).append(texts(`in ${name.slice(0, 20)}`));
	const page = await t.open(`/dashboard/basins/${basin.name}?view=flat`);
	await page.getByText(`${odd.length} streams`).waitFor();
	const links = page.locator("tbody th a");
	expect(await links.count()).toBe(odd.length);
	for (let i = 0; i < odd.length; i++) {
		await links.nth(i).click();
		await row(page, 0).getByText("in ").waitFor();
		const name = new URL(page.url()).searchParams.get("name") ?? "";
		expect(odd).toContain(name);
		expect(await row(page, 0).innerText()).not.toContain("\u202e");
		await page.goBack();
		await links.first().waitFor();
	}
	// By address, and by the form.
	for (const name of odd.slice(0, 6)) {
		await page.goto(t.broker().endpoint + streamPath(basin.name, name, { tab: "append" }));
		await page.getByLabel("Body").fill("again");
		await page.getByRole("button", { name: "Append the record" }).click();
		await page.getByText("Stored as record 1").waitFor();
	}
	await page.goto(`${t.broker().endpoint}/dashboard/basins/${basin.name}`);
	await page.getByRole("button", { name: "Create stream" }).click();
	await page.getByRole("textbox", { name: "Name" }).fill("new/../%00 <b>");
	await page.getByRole("dialog").getByRole("button", { name: "Create stream" }).click();
	await page.getByText("There is no record yet").waitFor();
	expect((await basin.streams.list({ prefix: "new" })).streams.map((s) => s.name)).toEqual(["new/../%00 <b>"]);
});

test("folders are a way of looking: their pages, and back by the crumbs", async () => {
	const basin = await newBasin(t.s2(), {});
	const names = ["a", "a/1", "a/b/2", "a/b/3", "b", ...Array.from({ length: 130 }, (_, i) => `many/${i}/x`)];
	await Promise.all(names.map((stream) => basin.streams.create({ stream })));
	const page = await t.open(`/dashboard/basins/${basin.name}`);
	const shown = async () => await page.locator("tbody th").allInnerTexts();
	await expect.poll(shown).toEqual(["a", "a/", "b", "many/"]);
	await page.getByRole("link", { name: "Folder many/" }).click();
	await page.getByText("100 entries on this page").waitFor();
	await page.getByRole("link", { name: "Next page" }).click();
	await page.getByText("30 entries on this page").waitFor();
	await page.reload();
	await page.getByText("30 entries on this page").waitFor();
	await page.getByRole("navigation", { name: "Where you are" }).getByRole("link", { name: basin.name }).click();
	await page.getByRole("link", { name: "Folder a/" }).click();
	await page.getByRole("link", { name: "Folder a/b/" }).click();
	await expect.poll(shown).toEqual(["2", "3"]);
	await page.getByRole("link", { name: "2", exact: true }).click();
	await page.getByRole("heading", { name: "a/b/2" }).waitFor();
	await page.goBack();
	await page.getByRole("searchbox", { name: "Find by prefix" }).fill("ma");
	await expect.poll(shown).toEqual(["many/"]);
});

test("nothing in a record runs in the page", async () => {
	const basin = await newBasin(t.s2());
	const hostile = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "javascript:alert(1)", '"><iframe src=javascript:alert(1)>', '{"__proto__":{"x":1},"<img src=x onerror=alert(1)>":"</script><script>alert(1)</script>"}'];
	await basin.stream("s").append(AppendInput.create(hostile.map((body) => AppendRecord.string({ body, headers: [[body, body]] }))));
	const page = await t.open(streamPath(basin.name, "s", { at: "seq:0" }));
	for (let i = 0; i < hostile.length; i++) {
		await row(page, i).click();
		const detail = page.getByRole("complementary", { name: `Record ${i}` });
		await detail.getByRole("radio", { name: "Text" }).click();
		await expect.poll(() => detail.getByRole("region", { name: "The body" }).innerText()).toBe(hostile[i]);
	}
	await page.getByRole("radio", { name: "JSON" }).click();
	await page.locator(".json").getByText("__proto__").waitFor();
	expect(await page.locator("#app script, #app iframe, #app img, #app [onload], #app [onerror]").count()).toBe(0);
	expect(await page.evaluate(() => ({}) as { x?: number }).then((o) => o.x)).toBeUndefined();
});

test("the page cannot be framed, runs nothing inline and talks to nobody else", async () => {
	t.expect(/ (?:action|request) has been blocked|Content Security Policy/);
	const page = await t.open("/dashboard");
	await page.getByRole("heading", { name: "Basins" }).waitFor();
	const refused = await page.evaluate(async () => {
		const out: string[] = [];
		const violated = new Promise<void>((resolve) => addEventListener("securitypolicyviolation", () => resolve(), { once: true }));
		const script = document.createElement("script");
		try {
			script.textContent = "window.ran = true";
			document.body.append(script);
		} catch {
			out.push("script");
		}
		try {
			document.body.innerHTML += "<b>x</b>";
		} catch {
			out.push("html");
		}
		await fetch("http://127.0.0.1:9/").catch(() => out.push("fetch"));
		await violated;
		return { out, ran: "ran" in window };
	});
	expect(refused.ran).toBe(false);
	expect(refused.out).toContain("html");
	expect(refused.out).toContain("fetch");
	const frame = await t.open("/health");
	await frame.setContent(`<iframe src="${t.broker().endpoint}/dashboard"></iframe>`);
	await expect.poll(() => t.problems.some((problem) => problem.includes("frame-ancestors"))).toBe(true);
	expect(frame.frames().filter((f) => f.url().endsWith("/dashboard") && f !== frame.mainFrame()).length).toBe(0);
});
