/** Batches as people type them. */
import { AppendRecord } from "@s2-dev/streamstore";

/** The records of a text: a body a line, or an object of JSON a line. A string says what is wrong. */
export function parseBatch(text: string, form: "lines" | "json"): AppendRecord[] | string {
	const lines = text.split(/\r?\n/);
	if (lines.at(-1) === "") lines.pop();
	if (lines.length === 0) return "There is no record.";
	if (form === "lines") return lines.map((body) => AppendRecord.string({ body }));
	const out: AppendRecord[] = [];
	for (const [i, line] of lines.entries()) {
		if (line.trim() === "") continue;
		const record = parseRecord(line);
		if (typeof record === "string") return `Line ${i + 1}: ${record}`;
		out.push(record);
	}
	return out.length > 0 ? out : "There is no record.";
}

function parseRecord(line: string): AppendRecord | string {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		return "not JSON.";
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object.";
	const { body = "", headers = [], timestamp, ...others } = value as Record<string, unknown>;
	const [unknown] = Object.keys(others);
	if (unknown !== undefined) return `“${unknown}” is none of body, headers and timestamp.`;
	if (typeof body !== "string") return "body is not a string; quote the JSON that it holds.";
	if (!Array.isArray(headers) || !headers.every(isPair)) return "headers are not pairs of strings.";
	if (headers.some(([name]) => name === "")) return "a header needs a name.";
	if (timestamp !== undefined && !(typeof timestamp === "number" && Number.isSafeInteger(timestamp) && timestamp >= 0)) {
		return "timestamp is no whole number of milliseconds.";
	}
	return AppendRecord.string({ body, headers, ...(timestamp !== undefined && { timestamp }) });
}

function isPair(value: unknown): value is [string, string] {
	return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");
}
