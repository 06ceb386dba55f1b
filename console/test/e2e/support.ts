/** A broker of one's own, a browser, and what tests do with them. */
import { AppendInput, AppendRecord, S2, S2Basin } from "@s2-dev/streamstore";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page, type Request } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Broker } from "../../../test/sdk-ts/src/support/broker";

/** The SDK gives up an ack after 5 s by itself; a machine that has much else to do may take longer. */
const unhurried = { requestTimeoutMillis: 120_000, connectionTimeoutMillis: 120_000 };

/** Pictures are taken when asked for: they show times. */
export const drawing = process.env["WEIR_PICTURES"] === "1";
export const pictures = fileURLToPath(new URL("../../../docs/console/", import.meta.url));

export const binary = resolve(process.env["WEIR_BIN"] ?? "../bin/weir");

function chromiumPath(): string {
	const known = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
	const found = known.find((path) => path !== undefined && path !== "" && existsSync(path));
	if (!found) throw new Error("no Chromium: install Debian's package chromium, or set CHROMIUM to its path");
	return found;
}

export type Setup = {
	broker: () => Broker;
	/** Opens a path of the console in a page of its own. */
	open: (path: string, options?: PageOptions) => Promise<Page>;
	/** The SDK, with the root token where there is one. */
	s2: () => S2;
	/** The problems that pages had since the test began: errors of scripts, violations of the policy, dialogs. */
	problems: string[];
	/** Problems of this kind do not fail the test that runs, whenever they come. */
	expect: (kind: RegExp) => void;
};

export type PageOptions = { width?: number; height?: number; dark?: boolean; timezone?: string };

export const rootToken = "root-token-of-the-tests";

/** Starts a broker and a browser for the tests of a file. Every test fails that has a page with problems. */
export function setup(options: { checked?: boolean; flags?: string[]; start?: () => Promise<Broker> } = {}): Setup {
	let broker: Broker | undefined;
	let browser: Browser | undefined;
	let pages: Page[] = [];
	const problems: string[] = [];
	let expected: RegExp[] = [];
	const dir = mkdtempSync(join(tmpdir(), "weir-console-"));
	beforeAll(async () => {
		const flags = [...(options.flags ?? [])];
		if (options.checked) {
			writeFileSync(join(dir, "root.token"), rootToken, { mode: 0o600 });
			flags.push("--root-token-file", join(dir, "root.token"));
		}
		[broker, browser] = await Promise.all([
			options.start ? options.start() : Broker.start(binary, ...flags),
			chromium.launch({ executablePath: chromiumPath(), timeout: 120_000, args: ["--no-sandbox", "--disable-dev-shm-usage"] }),
		]);
	});
	afterEach(async () => {
		await Promise.all(pages.map((page) => page.context().close()));
		pages = [];
		const bad = problems.splice(0).filter((problem) => !expected.some((kind) => kind.test(problem)));
		expected = [];
		expect(bad, "problems of pages").toEqual([]);
	});
	afterAll(async () => {
		await browser?.close();
		await broker?.stop();
		rmSync(dir, { recursive: true, force: true });
	});
	const theBroker = () => {
		if (!broker) throw new Error("the broker was not started");
		return broker;
	};
	return {
		broker: theBroker,
		problems,
		expect: (kind) => expected.push(kind),
		s2: () =>
			new S2({
				...unhurried,
				accessToken: options.checked ? rootToken : "ignored",
				endpoints: { account: theBroker().endpoint, basin: theBroker().endpoint },
			}),
		open: async (path, { width = 1280, height = 800, dark = false, timezone = "Europe/Berlin" } = {}) => {
			if (!browser) throw new Error("the browser was not started");
			const context = await browser.newContext({
				viewport: { width, height },
				colorScheme: dark ? "dark" : "light",
				timezoneId: timezone,
				locale: "en-US",
				reducedMotion: "reduce",
			});
			const page = await context.newPage();
			page.setDefaultTimeout(40_000);
			page.on("pageerror", (error) => problems.push(`error: ${error.stack ?? error.message}`));
			page.on("dialog", (dialog) => {
				problems.push(`dialog: ${dialog.message()}`);
				void dialog.dismiss();
			});
			page.on("console", (message) => {
				const text = message.text();
				// Answers with a status of failure are part of some tests.
				if (message.type() === "error" && !/^Failed to load resource/.test(text)) problems.push(`console: ${text}`);
			});
			page.on("request", (request) => {
				if (!request.url().startsWith(theBroker().endpoint) && !/^(?:blob|data):/.test(request.url())) problems.push(`request to another host: ${request.url()}`);
			});
			pages.push(page);
			await page.goto(theBroker().endpoint + path);
			return page;
		},
	};
}

export function uniqueName(prefix = "e2e"): string {
	return `${prefix}-${randomBytes(5).toString("hex")}`;
}

export async function newBasin(s2: S2, config: object = { createStreamOnAppend: true }): Promise<S2Basin> {
	const name = uniqueName();
	await s2.basins.create({ basin: name, config });
	return s2.basin(name);
}

export function texts(...bodies: string[]): AppendInput {
	return AppendInput.create(bodies.map((body) => AppendRecord.string({ body })));
}

/** The address of a stream's page. */
export function streamPath(basin: string, stream: string, query: Record<string, string> = {}): string {
	return `/dashboard/basins/${basin}/stream?${new URLSearchParams({ name: stream, ...query })}`;
}

/** How many pixels a page is wider than its window. */
export async function tooWide(page: Page): Promise<number> {
	return await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

type Violation = { id: string; nodes: Array<{ html: string; failureSummary?: string }> };

/** What axe finds in a page. */
export async function violations(page: Page): Promise<string[]> {
	await page.evaluate(axe);
	const found = await page.evaluate(async () => {
		const { axe } = window as unknown as { axe: { run: () => Promise<{ violations: Violation[] }> } };
		return (await axe.run()).violations;
	});
	return found.flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ""}`));
}

/** The rows of records that are in the page, as text. */
export async function rows(page: Page): Promise<string[]> {
	return await page.locator(".row-line").allInnerTexts();
}

export function row(page: Page, seqNum: number) {
	return page.locator(`#record-${seqNum}`);
}

/** The row that keys move from. It is there when the page has come to the place that its address names. */
export function currentRow(page: Page, seqNum: number) {
	return page.locator(`#record-${seqNum}.current`);
}

/** Where a page of records says that it follows: "Live" is also the name of a place to read from. */
export function live(page: Page) {
	return page.locator(".status-line").getByText(/^Live(?:, [\d.]+ records\/s)?$/);
}

/** Requests of a page that a test holds. */
export type Held = {
	/** Resolves once one is held. */
	caught: Promise<void>;
	/** Lets them go, and all that follow; resolves when they are gone. */
	release: () => Promise<void>;
};

/** Holds requests of a page: before the broker gets them, or when it has answered them. */
export async function hold(page: Page, url: string, which: (request: Request) => boolean, when: "asked" | "answered" = "asked"): Promise<Held> {
	const caught = later();
	const released = later();
	const held: Array<Promise<void>> = [];
	await page.route(url, (route) => {
		if (!which(route.request())) return route.fallback();
		const go = async () => {
			const response = when === "answered" ? await route.fetch() : undefined;
			caught.resolve();
			await released.promise;
			// The page may have given the request up.
			await (response ? route.fulfill({ response }) : route.continue()).catch(() => {});
		};
		const going = go();
		held.push(going);
		return going;
	});
	return {
		caught: caught.promise,
		release: async () => {
			released.resolve();
			await Promise.all(held);
		},
	};
}

/** A promise, and what resolves it. */
function later(): { promise: Promise<void>; resolve: () => void } {
	let resolve = () => {};
	const promise = new Promise<void>((done) => {
		resolve = done;
	});
	return { promise, resolve };
}

/** Appends through the HTTP API as fast as it goes; what the SDK would cost is not what is tested. */
export async function flood(endpoint: string, basin: string, stream: string, batches: number, size = 1000, parallel = 4): Promise<void> {
	const url = `${endpoint}/v1/streams/${encodeURIComponent(stream)}/records`;
	let next = 0;
	const worker = async () => {
		for (let batch = next++; batch < batches; batch = next++) {
			const records = Array.from({ length: size }, (_, i) => ({ body: `${batch}.${i}` }));
			const answer = await fetch(url, {
				method: "POST",
				headers: { "content-type": "application/json", "s2-basin": basin },
				body: JSON.stringify({ records }),
			});
			if (!answer.ok) throw new Error(`append: ${answer.status} ${await answer.text()}`);
			await answer.arrayBuffer();
		}
	};
	await Promise.all(Array.from({ length: parallel }, worker));
}
