import { expect, test } from "vitest";
import { newBasin, rootToken, row, setup, streamPath, texts } from "./support";

const t = setup({ checked: true });

async function signIn(page: import("playwright-core").Page, secret: string): Promise<void> {
	await page.getByLabel("Access token").fill(secret);
	await page.getByRole("button", { name: "Sign in" }).click();
}

test("it asks for a token, keeps it for the tab, and forgets it on the way out", async () => {
	const basin = await newBasin(t.s2());
	const page = await t.open(`/dashboard/basins/${basin.name}`);
	await page.getByRole("heading", { name: "Sign in to weir" }).waitFor();
	expect(await page.content()).not.toContain(basin.name);
	await signIn(page, "wrong");
	await page.getByText("does not accept this access token").waitFor();
	await signIn(page, rootToken);
	await page.getByRole("heading", { name: basin.name, exact: true }).waitFor();
	await page.getByText("Signed in as root").waitFor();
	await page.reload();
	await page.getByRole("heading", { name: basin.name, exact: true }).waitFor();
	const kept = await page.evaluate(() => ({ tab: Object.values(sessionStorage), ever: Object.values(localStorage), cookies: document.cookie, url: location.href }));
	expect(kept.tab).toEqual([rootToken]);
	expect(JSON.stringify([kept.ever, kept.cookies, kept.url])).not.toContain(rootToken);
	const other = await t.open("/dashboard");
	await other.getByRole("heading", { name: "Sign in to weir" }).waitFor();
	await page.getByRole("button", { name: "Sign out" }).click();
	await page.getByRole("heading", { name: "Sign in to weir" }).waitFor();
	expect(await page.evaluate(() => Object.values(sessionStorage))).toEqual([]);
});

test("a token sees what it allows, and nothing else is offered", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("sales/1").append(texts("sold"));
	await basin.stream("other").append(texts("secret"));
	const { accessToken } = await t.s2().accessTokens.issue({
		id: `reader-${basin.name}`,
		scope: { basins: { exact: basin.name }, streams: { prefix: "sales/" }, opGroups: { stream: { read: true } }, ops: ["list-streams"] },
	});
	const page = await t.open("/dashboard");
	await signIn(page, accessToken);
	await page.getByText("does not list basins").waitFor();
	expect(await page.getByRole("button", { name: "Create basin" }).count()).toBe(0);
	expect(await page.getByRole("link", { name: "Access tokens" }).count()).toBe(0);
	await page.getByLabel("Basin").fill(basin.name);
	await page.getByRole("button", { name: "Open" }).click();
	await page.getByRole("link", { name: "Folder sales/" }).click();
	expect(await page.getByRole("button", { name: /Create stream|Delete/ }).count()).toBe(0);
	await page.getByRole("link", { name: "1", exact: true }).click();
	await row(page, 0).getByText("sold").waitFor();
	expect(await page.getByRole("link", { name: "Append", exact: true }).count()).toBe(0);
	expect(await page.getByRole("link", { name: "Trim, fence, close" }).count()).toBe(0);
	await page.getByText("told to writers only").waitFor();
	await page.goto(t.broker().endpoint + streamPath(basin.name, "other"));
	await page.getByText("permission_denied").first().waitFor();
});

test("a token that is revoked while in use: the page says so, and goes on with another", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("s").append(texts("one"));
	const id = `doomed-${basin.name}`;
	const { accessToken } = await t.s2().accessTokens.issue({ id, scope: { basins: { prefix: "" }, streams: { prefix: "" }, opGroups: { basin: { read: true }, stream: { read: true, write: true } } } });
	const page = await t.open(streamPath(basin.name, "s"));
	await signIn(page, accessToken);
	await row(page, 0).waitFor();
	await t.s2().accessTokens.revoke({ id });
	await page.getByText(`The access token “${id}” has been revoked or has expired`).waitFor();
	expect(await page.locator(".row-line").count()).toBe(0);
	await signIn(page, rootToken);
	await row(page, 0).getByText("one").waitFor();
	await basin.stream("s").append(texts("two"));
	await row(page, 1).getByText("two").waitFor();
});

test("a token that expires while in use", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("s").append(texts("one"));
	const page = await t.open(streamPath(basin.name, "s"));
	const signedIn = page.getByText("Signed in as mayfly");
	const refused = page.getByText("does not accept this access token");
	const ended = page.getByText("has been revoked or has expired");
	// It must be in use before it expires: on a slow machine one that lives longer is needed.
	for (let life = 5000; ; life *= 2) {
		const expiresAt = new Date(Date.now() + life);
		const { accessToken } = await t.s2().accessTokens.issue({
			id: `mayfly-${life}-${basin.name}`,
			expiresAt,
			scope: { basins: { prefix: "" }, streams: { prefix: "" }, opGroups: { basin: { read: true }, stream: { read: true } } },
		});
		await signIn(page, accessToken);
		await signedIn.or(refused).or(ended).first().waitFor();
		if (!(await refused.isVisible())) break;
		expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
	}
	await ended.waitFor();
});

test("a tenant whose prefix is added sees its own names", async () => {
	const basin = await newBasin(t.s2());
	await basin.stream("tenant/7/notes").append(texts("mine"));
	const { accessToken } = await t.s2().accessTokens.issue({
		id: `tenant-${basin.name}`,
		autoPrefixStreams: true,
		scope: { basins: { exact: basin.name }, streams: { prefix: "tenant/7/" }, opGroups: { stream: { read: true, write: true } }, ops: ["list-streams", "create-stream"] },
	});
	const page = await t.open(`/dashboard/basins/${basin.name}`);
	await signIn(page, accessToken);
	await page.getByRole("link", { name: "notes", exact: true }).click();
	await row(page, 0).getByText("mine").waitFor();
	expect(await page.content()).not.toContain("tenant/7");
});
