/** Forms for the configuration of basins and streams: text in fields, nothing said where a field inherits. */
import type { BasinConfig, StreamConfig as S2StreamConfig } from "@s2-dev/streamstore";
import { duration } from "./format";

/** The SDK passes on the members that weir has and S2 has not. */
export type StreamConfig = S2StreamConfig & {
	expiry?: { idleSecs?: number | null; at?: string | null } | null;
	contentType?: string | null;
};

export type Cipher = "" | "aegis-256" | "aes-256-gcm";

/** "" inherits. */
export type StreamForm = {
	storageClass: "" | "express" | "standard";
	retention: "" | "age" | "infinite";
	age: string;
	ageUnit: "days" | "hours" | "minutes" | "seconds";
	mode: "" | "client-prefer" | "client-require" | "arrival";
	uncapped: "" | "yes" | "no";
	deleteOnEmpty: "" | "after" | "never";
	minAge: string;
	minAgeUnit: "days" | "hours" | "minutes" | "seconds";
	expiry: "" | "never" | "idle" | "at";
	idle: string;
	idleUnit: "days" | "hours" | "minutes" | "seconds";
	/** The time at which a stream ends, which the form keeps and cannot change; "" is none. */
	expiresAt: string;
	/** "" inherits. */
	contentType: string;
};

export type BasinForm = {
	stream: StreamForm;
	createOnAppend: boolean;
	createOnRead: boolean;
	cipher: Cipher;
};

/** The values of a stream whose basin says nothing; docs/http-api.md, Streams. */
export const defaults = {
	storageClass: "express",
	ageSecs: 604_800,
	mode: "client-prefer",
	uncapped: false,
	minAgeSecs: 0,
} as const;

const seconds = { days: 86_400, hours: 3600, minutes: 60, seconds: 1 } as const;
type Unit = keyof typeof seconds;

/** The largest unit in which the seconds are a whole number. */
export function split(secs: number): { n: string; unit: Unit } {
	for (const unit of ["days", "hours", "minutes"] as const) {
		if (secs > 0 && secs % seconds[unit] === 0) return { n: String(secs / seconds[unit]), unit };
	}
	return { n: String(secs), unit: "seconds" };
}

/** Seconds of a number and a unit; NaN unless it is a whole number of seconds, at least min. */
export function join(n: string, unit: Unit, min: number): number {
	if (!/^\d+(\.\d+)?$/.test(n.trim())) return Number.NaN;
	const secs = Number(n) * seconds[unit];
	return Number.isSafeInteger(secs) && secs >= min ? secs : Number.NaN;
}

export function streamForm(config: StreamConfig | null | undefined): StreamForm {
	const age = config?.retentionPolicy;
	const kept = split(age && "ageSecs" in age ? age.ageSecs : defaults.ageSecs);
	const empty = config?.deleteOnEmpty?.minAgeSecs;
	const waits = split(empty ? empty : 3600);
	const uncapped = config?.timestamping?.uncapped;
	const expiry = config?.expiry;
	const idles = split(expiry?.idleSecs ? expiry.idleSecs : 604_800);
	return {
		storageClass: (config?.storageClass ?? "") as StreamForm["storageClass"],
		retention: !age ? "" : "ageSecs" in age ? "age" : "infinite",
		age: kept.n,
		ageUnit: kept.unit,
		mode: (config?.timestamping?.mode ?? "") as StreamForm["mode"],
		uncapped: uncapped === undefined || uncapped === null ? "" : uncapped ? "yes" : "no",
		deleteOnEmpty: empty === undefined || empty === null ? "" : empty > 0 ? "after" : "never",
		minAge: waits.n,
		minAgeUnit: waits.unit,
		expiry: !expiry ? "" : expiry.idleSecs ? "idle" : expiry.at ? "at" : "never",
		idle: idles.n,
		idleUnit: idles.unit,
		expiresAt: expiry?.at ?? "",
		contentType: config?.contentType ?? "",
	};
}

export function basinForm(config: BasinConfig | null | undefined): BasinForm {
	return {
		stream: streamForm(config?.defaultStreamConfig),
		createOnAppend: config?.createStreamOnAppend ?? false,
		createOnRead: config?.createStreamOnRead ?? false,
		cipher: (config?.streamCipher ?? "") as Cipher,
	};
}

/** What is wrong in a form, by field; empty if nothing is. */
export function problems(form: StreamForm): Partial<Record<"age" | "minAge" | "idle" | "contentType", string>> {
	const out: ReturnType<typeof problems> = {};
	if (form.retention === "age" && Number.isNaN(join(form.age, form.ageUnit, 1))) out.age = "At least one second, in whole seconds.";
	if (form.deleteOnEmpty === "after" && Number.isNaN(join(form.minAge, form.minAgeUnit, 1))) {
		out.minAge = "At least one second, in whole seconds.";
	}
	if (form.expiry === "idle" && Number.isNaN(join(form.idle, form.idleUnit, 1))) out.idle = "At least one second, in whole seconds.";
	if (!/^[ -~]{0,256}$/.test(form.contentType)) out.contentType = "At most 256 letters, digits and signs of ASCII.";
	return out;
}

/** The form as the API takes it, whole: null where it inherits. */
export function toStreamConfig(form: StreamForm): StreamConfig {
	return {
		storageClass: form.storageClass || null,
		retentionPolicy:
			form.retention === "age" ? { ageSecs: join(form.age, form.ageUnit, 1) } : form.retention === "infinite" ? { infinite: {} } : null,
		timestamping:
			form.mode === "" && form.uncapped === ""
				? null
				: { mode: form.mode || null, uncapped: form.uncapped === "" ? null : form.uncapped === "yes" },
		deleteOnEmpty:
			form.deleteOnEmpty === "after"
				? { minAgeSecs: join(form.minAge, form.minAgeUnit, 1) }
				: form.deleteOnEmpty === "never"
					? { minAgeSecs: 0 }
					: null,
		expiry: expiryOf(form),
		contentType: form.contentType.trim() || null,
	};
}

function expiryOf(form: StreamForm): StreamConfig["expiry"] {
	const at = form.expiresAt !== "" && { at: form.expiresAt };
	switch (form.expiry) {
		case "idle":
			return { idleSecs: join(form.idle, form.idleUnit, 1), ...at };
		case "at":
			return { ...at };
		case "never":
			return {};
		default:
			return null;
	}
}

/** The same with nothing said where it inherits, for a creation. */
export function toNewStreamConfig(form: StreamForm): StreamConfig {
	const whole = toStreamConfig(form);
	const said = Object.entries(whole).filter(([, value]) => value !== null);
	return Object.fromEntries(said.map(([name, value]) => [name, name === "timestamping" ? onlySaid(value as object) : value])) as StreamConfig;
}

function onlySaid(value: object): object {
	return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null));
}

/** What is different between two configurations: what a reconfiguration has to say. */
export function changes(before: StreamConfig, after: StreamConfig): StreamConfig {
	const out: Record<string, unknown> = {};
	for (const key of ["storageClass", "retentionPolicy", "timestamping", "deleteOnEmpty", "expiry", "contentType"] as const) {
		if (JSON.stringify(before[key] ?? null) !== JSON.stringify(after[key] ?? null)) out[key] = after[key];
	}
	return out as StreamConfig;
}

/** One line of a configuration as it is shown: value, and whether it is inherited. */
export type Line = { name: string; value: string; inherited: boolean };

export function streamLines(config: StreamConfig | null | undefined): Line[] {
	const retention = config?.retentionPolicy;
	const stamps = config?.timestamping;
	const empty = config?.deleteOnEmpty?.minAgeSecs;
	return [
		line("Storage class", config?.storageClass, defaults.storageClass),
		line("Retention", retention && ("ageSecs" in retention ? duration(retention.ageSecs) : "until trimmed"), duration(defaults.ageSecs)),
		line("Timestamps", modeText(stamps?.mode), modeText(defaults.mode) ?? ""),
		line("Timestamps later than arrival", yesNo(stamps?.uncapped), "no"),
		line("Delete when empty", typeof empty === "number" ? (empty > 0 ? `after ${duration(empty)}` : "never") : undefined, "never"),
		line("Expires", expiryText(config?.expiry), "never"),
		line("Content type", config?.contentType || undefined, "none"),
	];
}

function expiryText(expiry: StreamConfig["expiry"]): string | undefined {
	if (!expiry) return undefined;
	const parts = [expiry.idleSecs ? `when not used for ${duration(expiry.idleSecs)}` : "", expiry.at ? `at ${expiry.at}` : ""];
	return parts.filter((part) => part !== "").join(", ") || "never";
}

function line(name: string, value: string | null | undefined, otherwise: string): Line {
	return { name, value: value ?? otherwise, inherited: value === null || value === undefined };
}

function yesNo(value: boolean | null | undefined): string | undefined {
	return value === null || value === undefined ? undefined : value ? "yes" : "no";
}

export function modeText(mode: string | null | undefined): string | undefined {
	switch (mode) {
		case "client-prefer":
			return "the client’s if given, else arrival";
		case "client-require":
			return "the client’s, required";
		case "arrival":
			return "arrival";
		default:
			return mode ?? undefined;
	}
}
