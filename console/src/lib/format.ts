/** Numbers, sizes and times in words. */

const whole = new Intl.NumberFormat("en-US");

export function count(n: number): string {
	return Number.isFinite(n) ? whole.format(n) : "–";
}

/** A number in at most four characters or so: 1,234 · 12.3k · 4.56M. */
export function short(n: number): string {
	if (!Number.isFinite(n)) return "–";
	const abs = Math.abs(n);
	if (abs < 10_000) return abs === Math.round(abs) ? whole.format(n) : n.toPrecision(3).replace(/\.?0+$/, "");
	for (const [unit, size] of [["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]] as const) {
		if (abs < size * 999.5) return `${three(n / size)}${unit}`;
	}
	return n.toExponential(2);
}

function three(n: number): string {
	return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

/** Bytes with a binary unit: 0 B, 512 B, 1.50 KiB, 1.00 MiB. */
export function size(bytes: number): string {
	if (!Number.isFinite(bytes)) return "–";
	if (Math.abs(bytes) < 1024) return `${Math.round(bytes)} B`;
	let n = bytes;
	let unit = "B";
	for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
		if (Math.abs(n) < 1023.5) break;
		n /= 1024;
		unit = next;
	}
	return `${three(n)} ${unit}`;
}

/** Seconds of a latency: 12 µs, 3.40 ms, 1.20 s. */
export function latency(seconds: number): string {
	if (!Number.isFinite(seconds)) return "–";
	if (seconds === 0) return "0";
	if (seconds < 1e-3) return `${three(seconds * 1e6)} µs`;
	if (seconds < 1) return `${three(seconds * 1e3)} ms`;
	return `${three(seconds)} s`;
}

const units: ReadonlyArray<readonly [string, number]> = [
	["day", 86400],
	["hour", 3600],
	["minute", 60],
	["second", 1],
];

/** Whole seconds in words: 7 days, 1 hour 30 minutes. At most two units. */
export function duration(seconds: number): string {
	if (!Number.isFinite(seconds)) return "–";
	let rest = Math.round(seconds);
	if (rest <= 0) return "0 seconds";
	const out: string[] = [];
	for (const [name, length] of units) {
		const n = Math.floor(rest / length);
		if (n > 0) {
			out.push(`${whole.format(n)} ${name}${n === 1 ? "" : "s"}`);
			rest -= n * length;
		} else if (out.length > 0) {
			break;
		}
		if (out.length === 2) break;
	}
	return out.join(" ");
}

/** How long ago, or in how long: just now, 3 minutes ago, in 2 days. */
export function relative(at: number, now = Date.now()): string {
	if (!Number.isFinite(at)) return "at a time out of range";
	const seconds = Math.abs(now - at) / 1000;
	if (seconds < 5) return "just now";
	const [name, length] = units.find(([, length]) => seconds >= length) ?? ["second", 1];
	const n = Math.floor(seconds / length);
	if (name === "day" && n > 60) return exactDay(at);
	const text = `${n} ${name}${n === 1 ? "" : "s"}`;
	return at <= now ? `${text} ago` : `in ${text}`;
}

function exactDay(at: number): string {
	return localExact(at).slice(0, 10);
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** 2026-11-29 13:57:02.123 in local time; "–" where there is no such date. */
export function localExact(at: number): string {
	const d = new Date(at);
	if (Number.isNaN(d.getTime())) return "–";
	return `${pad(d.getFullYear(), 4)}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${localClock(at)}`;
}

/** 13:57:02.123 in local time. */
export function localClock(at: number): string {
	const d = new Date(at);
	if (Number.isNaN(d.getTime())) return "–";
	return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}.${pad(d.getMilliseconds(), 3)}`;
}

/** 2026-11-29T13:57:02.123Z; "–" where there is no such date. */
export function utcExact(at: number): string {
	const d = new Date(at);
	return Number.isNaN(d.getTime()) ? "–" : d.toISOString();
}

/** The offset of local time: UTC, UTC+1, UTC−3:30. */
export function offset(at = Date.now()): string {
	const minutes = -new Date(at).getTimezoneOffset();
	const abs = Math.abs(minutes);
	if (!(abs > 0)) return "UTC";
	return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(abs / 60)}${abs % 60 ? `:${pad(abs % 60)}` : ""}`;
}

/** What an input of type datetime-local holds for a time, in local time or UTC. */
export function toInput(at: number, utc: boolean): string {
	const d = new Date(at);
	if (Number.isNaN(d.getTime())) return "";
	if (utc) return d.toISOString().slice(0, 23);
	return new Date(at - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 23);
}

/** The time that an input of type datetime-local holds; NaN when it is empty or incomplete. */
export function fromInput(text: string, utc: boolean): number {
	if (text === "") return Number.NaN;
	return new Date(utc ? `${text}Z` : text).getTime();
}
