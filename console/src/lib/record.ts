/** Records as the console holds and shows them. */
import type { ReadRecord } from "@s2-dev/streamstore";
import { asText, bigEndian, roughText, toHex } from "./bytes";

export type Header = readonly [name: Uint8Array, value: Uint8Array];

export type Command =
	| { kind: "fence"; token: string }
	| { kind: "trim"; below: bigint | null }
	| { kind: "close" }
	| { kind: "other"; name: string };

/** Of a larger body a list keeps the beginning only. */
export const keptBytes = 64 << 10;

export class Rec {
	private shown: string | undefined;
	/** Metered bytes: 8, 2 for each header, and all names, values and the body. */
	readonly metered: number;
	constructor(
		readonly seqNum: number,
		/** Milliseconds since 1970. NaN where JavaScript has no such date. */
		readonly at: number,
		readonly headers: ReadonlyArray<Header>,
		/** The body, or its beginning. */
		readonly body: Uint8Array,
		/** How long the whole body is. */
		readonly bodySize = body.length,
	) {
		let n = 8 + 2 * headers.length + bodySize;
		for (const [name, value] of headers) n += name.length + value.length;
		this.metered = n;
	}

	/** Whether the body is all there. */
	get whole(): boolean {
		return this.body.length === this.bodySize;
	}

	/** The record as a list keeps it: with no more than the beginning of a large body. */
	kept(): Rec {
		if (this.bodySize <= keptBytes) return this;
		return new Rec(this.seqNum, this.at, this.headers, this.body.slice(0, keptBytes), this.bodySize);
	}

	/** Bytes that it holds, roughly. */
	get weight(): number {
		return this.metered - this.bodySize + this.body.length + 200;
	}

	/** The command that the record is: its only header has an empty name. Null for a record of data. */
	get command(): Command | null {
		const [only] = this.headers;
		if (this.headers.length !== 1 || !only || only[0].length !== 0) return null;
		const name = roughText(only[1]);
		if (name === "fence") return { kind: "fence", token: roughText(this.body) };
		if (name === "trim") return { kind: "trim", below: bigEndian(this.body) };
		if (name === "close") return { kind: "close" };
		return { kind: "other", name };
	}

	/** The beginning of the body in one line: text, or hex after 0x. */
	get preview(): string {
		this.shown ??= preview(this.body);
		return this.shown;
	}

	/** Everything that can be searched in. */
	get searchable(): string {
		let all = roughText(this.body);
		for (const [name, value] of this.headers) all += `\n${roughText(name)}\n${roughText(value)}`;
		return all;
	}
}

const previewBytes = 400;

function preview(body: Uint8Array): string {
	const head = body.subarray(0, previewBytes);
	// A character may be cut at the end: of four bytes at most.
	for (let cut = 0; cut < 4 && cut <= head.length; cut++) {
		const text = asText(head.subarray(0, head.length - cut));
		if (text !== null) return text;
		if (body.length <= previewBytes) break;
	}
	return `0x${toHex(body.subarray(0, 120))}`;
}

export function fromSDK(record: ReadRecord<"bytes">): Rec {
	return new Rec(record.seqNum, record.timestamp.getTime(), record.headers, record.body);
}

/** A sentence that says what a command did. */
export function commandText(command: Command): string {
	switch (command.kind) {
		case "fence":
			return command.token === "" ? "took the fencing token away" : `set the fencing token to “${command.token}”`;
		case "trim":
			if (command.below === null) return "a trim point that is not 8 bytes";
			return command.below === 0xffff_ffff_ffff_ffffn ? "trimmed everything" : `trimmed all records below ${command.below}`;
		case "close":
			return "closed the stream: no record follows";
		case "other":
			return `a command called “${command.name}”`;
	}
}

/** The name of the file that a body is saved under: what file systems take. */
export function fileName(basin: string, stream: string, seqNum: number): string {
	const safe = stream.replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 80);
	return `${basin}.${safe}.${seqNum}.bin`;
}
