/**
 * Folders by "/", as a way of looking at names. There are none in the broker: a folder is shown where names go on behind
 * a "/", and everything in it is a page of the same list.
 */
import type { ListStreamsInput, ListStreamsResponse, StreamInfo } from "@s2-dev/streamstore";
import { utf8 } from "./bytes";

export type Entry = { kind: "folder"; prefix: string } | { kind: "stream"; info: StreamInfo };

export type EntryPage = {
	entries: Entry[];
	/** Where the next page starts behind; undefined if this is the last. */
	next: string | undefined;
	/** How many names were read for this page. */
	read: number;
};

type List = (input: ListStreamsInput) => Promise<ListStreamsResponse>;

const maxName = 512;

/** A name that stands behind all names of a folder and before all others: the list goes on there. */
export function behind(folder: string): string {
	const room = Math.floor((maxName - utf8(folder).length) / 4);
	return folder + "\u{10ffff}".repeat(Math.max(0, room));
}

/** The folder that a name is shown under, when one looks at prefix; undefined if it is shown itself. */
export function folderOf(name: string, prefix: string): string | undefined {
	const base = prefix.lastIndexOf("/") + 1;
	const slash = name.indexOf("/", Math.max(base, prefix.length));
	return slash < 0 ? undefined : name.slice(0, slash + 1);
}

/** One page of what is in a folder: at most limit entries, for which it asks for a few pages of names at most. */
export async function listFolder(list: List, prefix: string, after: string, limit: number, maxCalls = 20): Promise<EntryPage> {
	const entries: Entry[] = [];
	let cursor = after;
	let read = 0;
	for (let call = 0; call < maxCalls; call++) {
		const page = await list({ ...(prefix && { prefix }), ...(cursor && { startAfter: cursor }), limit: 1000 });
		read += page.streams.length;
		for (const info of page.streams) {
			const folder = folderOf(info.name, prefix);
			const last = entries.at(-1);
			if (folder !== undefined && last?.kind === "folder" && last.prefix === folder) {
				cursor = info.name;
				continue;
			}
			if (entries.length === limit) return { entries, next: cursor, read };
			entries.push(folder === undefined ? { kind: "stream", info } : { kind: "folder", prefix: folder });
			cursor = info.name;
		}
		if (!page.hasMore) return { entries, next: undefined, read };
		// The rest of a folder says nothing new.
		const last = entries.at(-1);
		if (last?.kind === "folder") cursor = behind(last.prefix);
		if (entries.length === limit) break;
	}
	return { entries, next: cursor, read };
}
