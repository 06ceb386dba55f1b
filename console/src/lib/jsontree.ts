/**
 * A reader of JSON for showing it: it keeps numbers as they are written (JavaScript would round them), names that are there
 * twice, and the order of members.
 */
export type Json =
	| { kind: "text"; value: string }
	/** A number as it is written, true, false or null. */
	| { kind: "word"; value: string }
	| { kind: "list"; items: Json[] }
	| { kind: "object"; members: Array<readonly [name: string, value: Json]> };

const maxDepth = 200;

/** The value that the text is, or null when it is not JSON. */
export function parseJson(text: string): Json | null {
	let at = 0;
	const fail = (): never => {
		throw new SyntaxError();
	};
	const space = () => {
		for (;;) {
			const c = text.charCodeAt(at);
			if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
			at++;
		}
	};
	const string = (): string => {
		const from = at++;
		for (;;) {
			const c = text.charCodeAt(at);
			if (Number.isNaN(c)) return fail();
			at += c === 0x5c ? 2 : 1;
			if (c === 0x22) return JSON.parse(text.slice(from, at)) as string;
		}
	};
	const word = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
	const value = (depth: number): Json => {
		if (depth > maxDepth) return fail();
		space();
		const c = text[at];
		if (c === '"') return { kind: "text", value: string() };
		if (c === "[") {
			at++;
			const items: Json[] = [];
			space();
			if (text[at] === "]") {
				at++;
				return { kind: "list", items };
			}
			for (;;) {
				items.push(value(depth + 1));
				space();
				const next = text[at++];
				if (next === "]") return { kind: "list", items };
				if (next !== ",") return fail();
			}
		}
		if (c === "{") {
			at++;
			const members: Array<readonly [string, Json]> = [];
			space();
			if (text[at] === "}") {
				at++;
				return { kind: "object", members };
			}
			for (;;) {
				space();
				if (text[at] !== '"') return fail();
				const name = string();
				space();
				if (text[at++] !== ":") return fail();
				members.push([name, value(depth + 1)]);
				space();
				const next = text[at++];
				if (next === "}") return { kind: "object", members };
				if (next !== ",") return fail();
			}
		}
		word.lastIndex = at;
		const match = word.exec(text);
		if (!match) return fail();
		at += match[0].length;
		return { kind: "word", value: match[0] };
	};
	try {
		const whole = value(0);
		space();
		return at === text.length ? whole : null;
	} catch {
		return null;
	}
}

/** Whether the text is worth a tree: an object or a list. */
export function looksLikeJson(text: string): boolean {
	return /^\s*[[{]/.test(text);
}
