/** Where a reading of records starts, as the address holds it. */
export type Start =
	| { kind: "live" }
	| { kind: "last"; n: number }
	| { kind: "seq"; seqNum: number }
	| { kind: "time"; ms: number };

export function parseStart(text: string | null): Start {
	const [kind, value] = (text ?? "").split(":");
	const n = value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined;
	if (n !== undefined && Number.isSafeInteger(n)) {
		if (kind === "last") return { kind, n };
		if (kind === "seq") return { kind, seqNum: n };
		if (kind === "time") return { kind, ms: n };
	}
	return { kind: "live" };
}

export function formatStart(start: Start): string {
	switch (start.kind) {
		case "live":
			return "live";
		case "last":
			return `last:${start.n}`;
		case "seq":
			return `seq:${start.seqNum}`;
		case "time":
			return `time:${start.ms}`;
	}
}

/** A whole number as somebody typed it, thousands separated or not; undefined when it is none. */
export function wholeNumber(text: string): number | undefined {
	const digits = text.trim().replace(/(?<=\d)[,_ ](?=\d{3})/g, "");
	if (!/^\d{1,16}$/.test(digits)) return undefined;
	const n = Number(digits);
	return Number.isSafeInteger(n) ? n : undefined;
}
