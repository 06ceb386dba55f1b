/** Bytes as people look at them: text where it is text, hex and Base64 where not. */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The bytes as text, or null when they are not UTF-8. */
export function asText(bytes: Uint8Array): string | null {
	try {
		return strict.decode(bytes);
	} catch {
		return null;
	}
}

/** The bytes as text, with U+FFFD for what is not UTF-8. */
export function roughText(bytes: Uint8Array): string {
	return lenient.decode(bytes);
}

export function utf8(text: string): Uint8Array {
	return encoder.encode(text);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function toHex(bytes: Uint8Array): string {
	let out = "";
	for (const byte of bytes) out += byte.toString(16).padStart(2, "0");
	return out;
}

/** Reads hex digits, white space between them allowed; null when it is none. */
export function fromHex(text: string): Uint8Array | null {
	const digits = text.replace(/\s+/g, "");
	if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return null;
	const out = new Uint8Array(digits.length / 2);
	for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
	return out;
}

export function toBase64(bytes: Uint8Array): string {
	let binary = "";
	for (let i = 0; i < bytes.length; i += 0x8000) {
		binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
	}
	return btoa(binary);
}

/** Reads Base64, the URL alphabet and missing padding too; null when it is none. */
export function fromBase64(text: string): Uint8Array | null {
	const plain = text.replace(/\s+/g, "").replace(/-/g, "+").replace(/_/g, "/").replace(/=+$/, "");
	if (/[^A-Za-z0-9+/]/.test(plain) || plain.length % 4 === 1) return null;
	try {
		const binary = atob(plain);
		return Uint8Array.from(binary, (c) => c.charCodeAt(0));
	} catch {
		return null;
	}
}

/** A hex dump: offset, sixteen bytes, and what of them is printable ASCII. */
export function hexDump(bytes: Uint8Array, from = 0, to = bytes.length): string {
	const lines: string[] = [];
	for (let at = from; at < to; at += 16) {
		const row = bytes.subarray(at, Math.min(at + 16, to));
		let hex = "";
		let text = "";
		for (let i = 0; i < 16; i++) {
			const byte = row[i];
			hex += (byte === undefined ? "  " : byte.toString(16).padStart(2, "0")) + (i === 7 ? "  " : " ");
			if (byte !== undefined) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
		}
		lines.push(`${at.toString(16).padStart(8, "0")}  ${hex} ${text}`);
	}
	return lines.join("\n");
}

/** The big-endian 64-bit number that a trim command holds; null when the body is not one. */
export function bigEndian(bytes: Uint8Array): bigint | null {
	if (bytes.length !== 8) return null;
	return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}

/** Characters that a reader cannot see, or that move others about: controls, bidirectional marks, zero widths, surrogates. */
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\ufff9-\ufffb\ud800-\udfff]/u;

export type Piece = { text: string; unseen: boolean };

/** Splits text so that what cannot be seen can be shown as an escape. */
export function pieces(text: string): Piece[] {
	if (!unseen.test(text)) return text === "" ? [] : [{ text, unseen: false }];
	const out: Piece[] = [];
	for (const char of text) {
		const hidden = unseen.test(char);
		const last = out.at(-1);
		if (hidden) out.push({ text: escapeChar(char), unseen: true });
		else if (last && !last.unseen) last.text += char;
		else out.push({ text: char, unseen: false });
	}
	return out;
}

function escapeChar(char: string): string {
	const known: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };
	return known[char] ?? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}
