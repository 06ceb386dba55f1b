/** Search within the records that are loaded. */
import type { Rec } from "./record";

/** The seq_nums of the records that hold the text, in headers or body, upper and lower case alike. It lets the page breathe. */
export async function find(records: ReadonlyArray<Rec>, text: string, signal: AbortSignal): Promise<number[]> {
	const sought = text.toLowerCase();
	const found: number[] = [];
	let slice = performance.now();
	for (const record of records) {
		if (record.searchable.toLowerCase().includes(sought)) found.push(record.seqNum);
		if (performance.now() - slice > 8) {
			await new Promise((go) => setTimeout(go));
			slice = performance.now();
		}
		if (signal.aborted) break;
	}
	return found;
}

/** Splits a text at the places where sought stands in it, for marking them. */
export function marks(text: string, sought: string): Array<{ text: string; hit: boolean }> {
	if (sought === "") return [{ text, hit: false }];
	const lower = text.toLowerCase();
	const needle = sought.toLowerCase();
	// Where lower case has another length the places would be off: nothing is marked then.
	if (lower.length !== text.length || needle.length !== sought.length) return [{ text, hit: false }];
	const out: Array<{ text: string; hit: boolean }> = [];
	let from = 0;
	for (;;) {
		const at = lower.indexOf(needle, from);
		if (at < 0) break;
		if (at > from) out.push({ text: text.slice(from, at), hit: false });
		out.push({ text: text.slice(at, at + needle.length), hit: true });
		from = at + needle.length;
	}
	if (from < text.length) out.push({ text: text.slice(from), hit: false });
	return out;
}
