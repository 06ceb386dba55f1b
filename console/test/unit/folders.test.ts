import type { ListStreamsInput } from "@s2-dev/streamstore";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/lib/bytes";
import { behind, type Entry, folderOf, listFolder } from "../../src/lib/folders";
import { foldersOf } from "../../src/ui/crumbs";

const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A list of names as the API pages it. */
function server(names: string[]) {
	const sorted = [...names].sort(compare);
	let calls = 0;
	const list = async ({ prefix = "", startAfter = "", limit = 1000 }: ListStreamsInput) => {
		calls++;
		const all = sorted.filter((name) => name.startsWith(prefix) && (startAfter === "" || compare(name, startAfter) > 0));
		return { streams: all.slice(0, limit).map((name) => ({ name, createdAt: new Date(0) })), hasMore: all.length > limit };
	};
	return { list, calls: () => calls };
}

const shown = (entry: Entry) => (entry.kind === "folder" ? entry.prefix : entry.info.name);

async function everything(names: string[], prefix: string, limit: number): Promise<string[]> {
	const { list } = server(names);
	const out: string[] = [];
	let after = "";
	for (let pages = 0; pages < 1000; pages++) {
		const page = await listFolder(list, prefix, after, limit);
		expect(page.entries.length).toBeLessThanOrEqual(limit);
		out.push(...page.entries.map(shown));
		if (page.next === undefined) return out;
		after = page.next;
	}
	throw new Error("no end");
}

describe("folders", () => {
	const names = ["a", "a/1", "a/2", "a/b/3", "a0", "b/x", "c", "//", "/", "😀/y", "../x"];
	test("each name is in one place, whatever the page size", async () => {
		for (const limit of [1, 2, 3, 100]) {
			expect(await everything(names, "", limit)).toEqual(["../", "/", "a", "a/", "a0", "b/", "c", "😀/"].sort(compare));
			expect(await everything(names, "a/", limit)).toEqual(["a/1", "a/2", "a/b/"]);
			expect(await everything(names, "a", limit)).toEqual(["a", "a/", "a0"]);
		}
	});
	test("a folder of many names costs no page of them", async () => {
		const many = [...Array.from({ length: 50_000 }, (_, i) => `big/${i}`), "big0", "z"];
		const { list, calls } = server(many);
		const page = await listFolder(list, "", "", 100);
		expect(page.entries.map(shown)).toEqual(["big/", "big0", "z"]);
		expect(calls()).toBe(2);
	});
	test("what stands behind a folder fits a name, and is behind all of it", () => {
		for (const folder of ["a/", `${"x".repeat(505)}/`, "😀/"]) {
			expect(utf8(behind(folder)).length).toBeLessThanOrEqual(512);
			expect(compare(behind(folder), `${folder}\u{10fffe}`)).toBeGreaterThan(utf8(folder).length > 504 ? -2 : 0);
			expect(compare(behind(folder), `${folder.slice(0, -1)}0`)).toBeLessThan(0);
		}
	});
	test("where names belong", () => {
		expect(folderOf("a/b/c", "")).toBe("a/");
		expect(folderOf("a/b/c", "a/")).toBe("a/b/");
		expect(folderOf("a/b/c", "a/b/c")).toBeUndefined();
		expect(folderOf("abc", "a")).toBeUndefined();
		expect(foldersOf("a/b/c")).toEqual(["a/", "a/b/"]);
		expect(foldersOf("/x")).toEqual(["/"]);
	});
});
