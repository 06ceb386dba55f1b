import { expect, test } from "vitest";
import { live, row, setup, texts, uniqueName } from "./support";

const t = setup({ flags: ["--nats-listen", "127.0.0.1:0"] });

test("a newcomer creates a basin, appends, follows, finds a record by time and issues a token", async () => {
	const page = await t.open("/", { timezone: "Asia/Tokyo" }); // It has no summer time.
	await page.waitForURL("**/dashboard");
	await page.getByText("nothing is checked").waitFor();

	// A basin, from the empty page.
	await page.getByText("There is no basin yet").waitFor();
	const basin = uniqueName("first");
	await page.getByRole("button", { name: "Create basin" }).first().click();
	await page.getByRole("textbox", { name: "Name" }).fill("Nope!");
	await page.getByText("Only a to z").waitFor();
	await page.getByRole("textbox", { name: "Name" }).fill(basin);
	await page.getByRole("dialog").getByRole("button", { name: "Create basin" }).click();

	// A stream.
	await page.getByRole("heading", { name: basin }).waitFor();
	await page.getByRole("button", { name: "Create stream" }).click();
	await page.getByRole("textbox", { name: "Name" }).fill("greetings/world");
	await page.getByRole("dialog").getByRole("button", { name: "Create stream" }).click();
	await page.getByText("There is no record yet").waitFor();

	// A record.
	await page.getByRole("link", { name: "Append a record" }).click();
	await page.getByLabel("Body").fill("hello");
	await page.getByRole("button", { name: "Add a header" }).click();
	await page.getByLabel("Name of header 1").fill("lang");
	await page.getByLabel("Value of header 1").fill("en");
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("Stored as record 0").waitFor();
	await page.getByRole("link", { name: "Show the record" }).click();
	await page.getByRole("complementary", { name: "Record 0" }).getByText("hello", { exact: true }).waitFor();
	await page.getByRole("complementary").getByText("lang").waitFor();
	await page.keyboard.press("Escape");

	// Live.
	await page.getByRole("button", { name: /Follow|Resume/ }).click();
	await live(page).waitFor();
	const stream = t.s2().basin(basin).stream("greetings/world");
	await stream.append(texts("live one"));
	await row(page, 1).getByText("live one").waitFor();

	// By time: a record of its own.
	await stream.append(texts("later"));
	const [record] = (await stream.read({ start: { from: { seqNum: 1 } }, stop: { limits: { count: 1 } } })).records;
	const at = (record?.timestamp.getTime() ?? 0) + 9 * 3600_000;
	await page.getByRole("radio", { name: "Time" }).click();
	await page.getByLabel("Time to read from").fill(new Date(at).toISOString().slice(0, 23));
	await page.getByRole("button", { name: "Go" }).click();
	await page.waitForFunction((id) => document.querySelector(`#record-${id}.current`) !== null, 1);
	expect(page.url()).toContain("at=time");

	// A token.
	await page.getByRole("link", { name: "Access tokens" }).click();
	await page.getByRole("button", { name: "Issue a token" }).first().click();
	await page.getByLabel("Id").fill("first-token");
	await page.getByRole("button", { name: "Issue the token" }).click();
	const secret = await page.getByLabel("The secret", { exact: true }).innerText();
	expect(secret).toMatch(/^weir_/);
	await page.getByRole("checkbox", { name: "I have kept it" }).check();
	await page.getByRole("button", { name: "Done" }).click();
	await page.getByRole("rowheader", { name: "first-token" }).waitFor();
	expect(await page.content()).not.toContain(secret);
});

test("a basin's configuration is edited, and shown as inherited where it is", async () => {
	const basin = uniqueName();
	await t.s2().basins.create({ basin });
	const page = await t.open(`/dashboard/basins/${basin}?tab=config`);
	await page.getByText("7 days inherited from the default").waitFor();
	await page.getByRole("button", { name: "Edit" }).click();
	await page.getByLabel("Create streams on append").check();
	await page.getByLabel("Retention", { exact: true }).selectOption("age");
	await page.getByLabel("Keep records for", { exact: true }).fill("0");
	await page.getByText("At least one second").waitFor();
	await page.getByLabel("Keep records for", { exact: true }).fill("36");
	await page.getByLabel("Unit of: Keep records for").selectOption("hours");
	await page.getByRole("button", { name: "Save" }).click();
	await page.getByText("1 day 12 hours").waitFor();
	const config = await t.s2().basins.getConfig({ basin });
	expect(config).toMatchObject({ createStreamOnAppend: true, defaultStreamConfig: { retentionPolicy: { ageSecs: 129_600 } } });
});

test("a stream's configuration is edited; back to inherited takes the basin's", async () => {
	const basin = uniqueName();
	await t.s2().basins.create({ basin, config: { defaultStreamConfig: { retentionPolicy: { ageSecs: 86_400 } } } });
	await t.s2().basin(basin).streams.create({ stream: "s", config: { retentionPolicy: { infinite: {} } } });
	const page = await t.open(`/dashboard/basins/${basin}/stream?name=s&tab=config`);
	await page.locator(".lines").getByText("until trimmed").waitFor();
	await page.getByRole("button", { name: "Edit" }).click();
	await page.getByLabel("Retention", { exact: true }).selectOption("");
	await page.getByLabel("Storage class").selectOption("standard");
	await page.getByRole("button", { name: "Save" }).click();
	await page.locator(".lines").getByText("1 day").waitFor();
	const config = await t.s2().basin(basin).streams.getConfig({ stream: "s" });
	expect(config).toMatchObject({ retentionPolicy: { ageSecs: 86_400 }, storageClass: "standard" });
});

test("basins and streams are deleted once their name was typed", async () => {
	const basin = uniqueName();
	await t.s2().basins.create({ basin });
	await t.s2().basin(basin).streams.create({ stream: "doomed" });
	const page = await t.open(`/dashboard/basins/${basin}`);
	await page.getByRole("button", { name: "Delete doomed" }).click();
	const confirm = page.getByRole("dialog").getByRole("button", { name: "Delete stream" });
	expect(await confirm.isDisabled()).toBe(true);
	await page.getByRole("textbox", { name: "Name of the stream" }).fill("doomed");
	await confirm.click();
	await page.getByRole("link", { name: "doomed", exact: true }).waitFor({ state: "detached" });
	await page.getByRole("button", { name: "Delete", exact: true }).click();
	await page.getByRole("textbox", { name: "Name of the basin" }).fill(basin);
	await page.getByRole("button", { name: "Delete basin" }).click();
	await page.waitForURL("**/dashboard");
	await expect.poll(async () => (await t.s2().basins.list({ prefix: basin })).basins.filter((b) => !b.deletedAt)).toEqual([]);
});

test("trim and fence say what they will do, and do it", async () => {
	const basin = uniqueName();
	await t.s2().basins.create({ basin, config: { createStreamOnAppend: true } });
	const stream = t.s2().basin(basin).stream("s");
	await stream.append(texts("a", "b", "c", "d"));
	const page = await t.open(`/dashboard/basins/${basin}/stream?name=s&tab=commands`);
	await page.getByText("no token is needed").waitFor();
	await page.getByLabel("Trim all records below").fill("3");
	await page.getByText("3 of 4 records will go: 0 to 2.").waitFor();
	await page.getByRole("button", { name: "Trim…" }).click();
	await page.getByRole("button", { name: "Trim below 3" }).click();
	await page.getByText("Stored as record 4").waitFor();
	await page.getByText("from seq_num 3 on").waitFor();

	await page.getByLabel("New fencing token").fill("writer-1");
	await page.getByRole("button", { name: "Fence…" }).click();
	await page.getByRole("dialog").getByRole("button", { name: "Fence", exact: true }).click();
	await page.getByText("Stored as record 5").waitFor();
	await page.locator(".facts").getByText("writer-1").waitFor();

	// A writer with another token is refused, in full; nothing is stored.
	await page.getByRole("link", { name: "Append", exact: true }).click();
	await page.getByLabel("Body").fill("x");
	await page.getByLabel("Fencing token").fill("writer-0");
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("The fencing token in force is “writer-1”").waitFor();
	await page.getByText("Nothing was stored.").waitFor();
	await page.getByRole("button", { name: "Use the one in force" }).waitFor({ state: "detached" });
	await page.getByLabel("Fencing token").fill("");
	await page.getByRole("button", { name: "Use the one in force" }).click();
	await page.getByLabel("match_seq_num").fill("1");
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("the next seq_num is 6").waitFor();
	await page.getByLabel("match_seq_num").fill("6");
	await page.getByRole("button", { name: "Append the record" }).click();
	await page.getByText("Stored as record 6").waitFor();
	expect((await stream.checkTail()).tail.seqNum).toBe(7);

	// In the list commands are shown as what they are.
	await page.goto(`${t.broker().endpoint}/dashboard/basins/${basin}/stream?name=s&at=seq:3`);
	await row(page, 4).getByText("trimmed all records below 3").waitFor();
	await row(page, 5).getByText("set the fencing token to “writer-1”").waitFor();
});

test("a batch of JSON is stored whole", async () => {
	const basin = uniqueName();
	await t.s2().basins.create({ basin });
	await t.s2().basin(basin).streams.create({ stream: "s" });
	const page = await t.open(`/dashboard/basins/${basin}/stream?name=s&tab=append`);
	await page.getByRole("radio", { name: "A batch" }).click();
	await page.getByRole("radio", { name: "JSON a line" }).click();
	await page.getByLabel("Records").fill('{"body":"one","headers":[["k","v"]]}\n{"bodi":"two"}');
	await page.getByText("Line 2").waitFor();
	await page.getByLabel("Records").fill('{"body":"one","headers":[["k","v"]]}\n{"body":"two"}');
	await page.getByRole("button", { name: "Append 2 records" }).click();
	await page.getByText("Stored as records 0 to 1").waitFor();
	const { records } = await t.s2().basin(basin).stream("s").read({ start: { from: { seqNum: 0 } } });
	expect(records.map((r) => [r.body, r.headers])).toEqual([["one", [["k", "v"]]], ["two", []]]);
});
