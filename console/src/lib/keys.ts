/** Encryption keys of streams. They are kept in memory only: a reload forgets them. */
import { signal } from "@preact/signals";
import { fromBase64, toBase64 } from "./bytes";

const keys = signal<ReadonlyMap<string, string>>(new Map());

const id = (basin: string, stream: string) => `${basin}/${stream}`;

export function keyOf(basin: string, stream: string): string | undefined {
	return keys.value.get(id(basin, stream));
}

export function setKey(basin: string, stream: string, key: string | undefined): void {
	const next = new Map(keys.value);
	if (key === undefined) next.delete(id(basin, stream));
	else next.set(id(basin, stream), key);
	keys.value = next;
}

/** The key in the form that the API takes; undefined unless it is Base64 of 32 bytes. */
export function readKey(text: string): string | undefined {
	const bytes = fromBase64(text);
	return bytes?.length === 32 ? toBase64(bytes) : undefined;
}
