/** What weir has and S2's API does not: S2's SDK cannot ask for it. */
import { S2Error } from "@s2-dev/streamstore";
import { bearer } from "./session";

export type Tail = { seqNum: number; at: number; closed: boolean };

/** Calls the API; the error is the SDK's for an answer that is none of success. */
async function call(method: "GET" | "POST", path: string, options: { basin?: string; body?: unknown; key?: string | undefined; signal?: AbortSignal }): Promise<unknown> {
	const { basin, body, key, signal } = options;
	const answer = await fetch(path, {
		method,
		headers: {
			...bearer(),
			...(basin !== undefined && { "s2-basin": basin }),
			...(body !== undefined && { "content-type": "application/json" }),
			...(key !== undefined && { "s2-encryption-key": key }),
		},
		...(body !== undefined && { body: JSON.stringify(body) }),
		...(signal && { signal }),
		cache: "no-store",
	});
	const text = await answer.text();
	if (answer.ok) return text === "" ? undefined : JSON.parse(text);
	throw new S2Error({ ...reasonOf(text, answer.status), status: answer.status, origin: "server" });
}

function reasonOf(text: string, status: number): { code?: string; message: string } {
	try {
		const { code, message, seq_num_mismatch: next, fencing_token_mismatch: token } = JSON.parse(text) as Record<string, unknown>;
		if (typeof next === "number") return { code: "seq_num_mismatch", message: `match_seq_num does not hold: the next seq_num is ${next}` };
		if (typeof token === "string") return { code: "fencing_token_mismatch", message: token === "" ? "The stream has no fencing token." : `The fencing token in force is “${token}”.` };
		if (typeof code === "string" && typeof message === "string") return { code, message };
	} catch {
		// No JSON: a proxy has answered.
	}
	return { message: `The answer has status ${status}.` };
}

/** The answer of /dashboard/cluster; its name is "" where the broker is no node of a cluster. */
export type Cluster = {
	name: string;
	nodes: Array<{ name: string; this: boolean; online: boolean }>;
	logs: Array<{ log: string; leader: string; copies: Array<{ node: string; current: boolean; lag: number; offline: boolean }> }>;
};

export async function cluster(signal: AbortSignal): Promise<Cluster> {
	return (await call("GET", "/dashboard/cluster", { signal })) as Cluster;
}

type Position = { seq_num: number; timestamp: number };

function records(stream: string): string {
	return `/v1/streams/${encodeURIComponent(stream)}/records`;
}

/** The tail of a stream, and whether it is closed. */
export async function tailOf(basin: string, stream: string, signal?: AbortSignal): Promise<Tail> {
	const answer = (await call("GET", `${records(stream)}/tail`, { basin, ...(signal && { signal }) })) as { tail: Position; closed?: boolean };
	return { seqNum: answer.tail.seq_num, at: answer.tail.timestamp, closed: answer.closed === true };
}

/** Closes a stream if its tail is the one that is given: no record follows, ever. */
export async function closeStream(basin: string, stream: string, tail: number, options: { token: string; key: string | undefined }): Promise<void> {
	const body = { records: [], close: true, match_seq_num: tail, ...(options.token !== "" && { fencing_token: options.token }) };
	await call("POST", records(stream), { basin, body, key: options.key });
}

/** Makes a stream that shares the records of another one of its basin: those below at, all without it. */
export async function forkStream(basin: string, source: string, stream: string, at: number | undefined): Promise<void> {
	await call("POST", "/v1/streams", { basin, body: { stream, fork: { source, ...(at !== undefined && { at }) } } });
}
