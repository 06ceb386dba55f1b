/** The call of a page in other languages: what the console does, one can script. */
import type { Route } from "./route";

export type Language = "curl" | "s2" | "weir" | "nats" | "TypeScript" | "Go" | "Python";
export const languages: readonly Language[] = ["curl", "s2", "weir", "nats", "TypeScript", "Go", "Python"];

export type Place = {
	/** Where the HTTP API is: scheme, host and port. */
	http: string;
	/** Where NATS clients connect; "" if nowhere. */
	nats: string;
	/** Whether requests need an access token. */
	checked: boolean;
	encrypted?: boolean;
};

/** Quotes a text for a POSIX shell. */
export function shell(text: string): string {
	return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Quotes a text for JavaScript, Go and Python: JSON, with what Go and Python read otherwise written out. */
export function quote(text: string): string {
	return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Quotes a text for Go and Python, which know no surrogate pairs. */
export function quoteWide(text: string): string {
	let out = '"';
	for (const char of text) {
		const code = char.codePointAt(0) ?? 0;
		if (char === '"' || char === "\\") out += `\\${char}`;
		else if (code >= 0x20 && code < 0x7f) out += char;
		else out += code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
	}
	return `${out}"`;
}

/** The name of a stream as tokens of a NATS subject; docs/nats-api.md, Names in subjects. */
export function subjectOf(stream: string): string {
	return stream
		.split("/")
		.map((segment) => {
			if (segment === "") return "%";
			const escaped = segment.replace(/[.%*>\p{Cc}\p{Z}]/gu, escapeBytes);
			return escaped.startsWith("$") ? `%24${escaped.slice(1)}` : escaped;
		})
		.join(".");
}

function escapeBytes(char: string): string {
	return [...new TextEncoder().encode(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

export type Call =
	| { kind: "list-basins" }
	| { kind: "list-streams"; basin: string }
	| { kind: "basin-config"; basin: string }
	| { kind: "read"; basin: string; stream: string; from: { seqNum: number } | { ms: number } | { last: number } | null }
	| { kind: "append"; basin: string; stream: string }
	| { kind: "trim"; basin: string; stream: string }
	| { kind: "stream-config"; basin: string; stream: string }
	| { kind: "usage"; basin?: string; stream?: string }
	| { kind: "list-tokens" }
	| { kind: "health" };

/** The call that a page stands for. */
export function callOf(route: Route, tab: string, at: string | null): Call {
	switch (route.page) {
		case "basin":
			if (tab === "config") return { kind: "basin-config", basin: route.basin };
			if (tab === "usage") return { kind: "usage", basin: route.basin };
			return { kind: "list-streams", basin: route.basin };
		case "stream": {
			const { basin, stream } = route;
			if (tab === "append") return { kind: "append", basin, stream };
			if (tab === "commands") return { kind: "trim", basin, stream };
			if (tab === "config") return { kind: "stream-config", basin, stream };
			if (tab === "usage") return { kind: "usage", basin, stream };
			const [kind, n] = (at ?? "live").split(":");
			const value = Number(n);
			const from = kind === "seq" ? { seqNum: value } : kind === "time" ? { ms: value } : kind === "last" ? { last: value } : null;
			return { kind: "read", basin, stream, from };
		}
		case "tokens":
			return { kind: "list-tokens" };
		case "usage":
			return { kind: "usage" };
		case "broker":
			return { kind: "health" };
		default:
			return { kind: "list-basins" };
	}
}

/** The call in a language; null where there is no such call. */
export function snippet(language: Language, call: Call, place: Place): string | null {
	switch (language) {
		case "curl":
			return curl(call, place);
		case "s2":
			return withSetup(s2Setup(place), command("s2", call, place));
		case "weir":
			return withSetup(weirSetup(place), command("weir", call, place));
		case "nats":
			return nats(call, place);
		case "TypeScript":
			return typescript(call, place);
		case "Go":
			return go(call, place);
		case "Python":
			return python(call, place);
	}
}

function withSetup(setup: string, line: string | null): string | null {
	return line === null ? null : `${setup}\n${line}`;
}

const uri = (basin: string, stream: string) => shell(`s2://${basin}/${stream}`);

function curl(call: Call, place: Place): string | null {
	const auth = place.checked ? ` \\\n  -H "authorization: Bearer $S2_ACCESS_TOKEN"` : "";
	const key = place.encrypted ? ` \\\n  -H "s2-encryption-key: $S2_ENCRYPTION_KEY"` : "";
	const line = (path: string, rest = "", flags = "") => `curl ${flags}${shell(place.http + path)}${auth}${rest}`;
	const of = (basin: string) => ` \\\n  -H 's2-basin: ${basin}'`;
	const json = ` \\\n  -H 'content-type: application/json'`;
	switch (call.kind) {
		case "list-basins":
			return line("/v1/basins?limit=100");
		case "list-streams":
			return line("/v1/streams?limit=100", of(call.basin));
		case "basin-config":
			return line(`/v1/basins/${encodeURIComponent(call.basin)}`);
		case "stream-config":
			return line(`/v1/streams/${encodeURIComponent(call.stream)}`, of(call.basin));
		case "read": {
			const path = `/v1/streams/${encodeURIComponent(call.stream)}/records`;
			if (call.from === null) return line(path, `${of(call.basin)}${key} \\\n  -H 'accept: text/event-stream'`, "-N ");
			return line(`${path}?${readQuery(call.from)}&count=100`, of(call.basin) + key);
		}
		case "append":
			return line(`/v1/streams/${encodeURIComponent(call.stream)}/records`, `${of(call.basin)}${key}${json} \\\n  -d '{"records":[{"headers":[["lang","en"]],"body":"hello"}]}'`);
		case "trim":
			return line(
				`/v1/streams/${encodeURIComponent(call.stream)}/records`,
				`${of(call.basin)}${key}${json} \\\n  -H 's2-format: base64' \\\n  -d '{"records":[{"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAE="}]}'   # below seq_num 1`,
			);
		case "usage": {
			const path = call.stream !== undefined ? `/${encodeURIComponent(call.basin ?? "")}/${encodeURIComponent(call.stream)}` : call.basin ? `/${call.basin}` : "";
			const set = call.stream !== undefined || call.basin !== undefined ? "storage" : "account-ops";
			return `end=$(date +%s); start=$((end - 86400))\ncurl "${place.http}/v1/metrics${path}?set=${set}&start=$start&end=$end"${auth}`;
		}
		case "list-tokens":
			return line("/v1/access-tokens?limit=100");
		case "health":
			return `curl ${place.http}/health\ncurl ${place.http}/metrics`;
	}
}

function readQuery(from: { seqNum: number } | { ms: number } | { last: number }): string {
	if ("seqNum" in from) return `seq_num=${from.seqNum}`;
	if ("ms" in from) return `timestamp=${from.ms}`;
	return `tail_offset=${from.last}`;
}

function s2Setup(place: Place): string {
	return `export S2_ACCOUNT_ENDPOINT=${place.http}\nexport S2_BASIN_ENDPOINT=${place.http}\nexport S2_ACCESS_TOKEN=${place.checked ? "…" : "ignored"}`;
}

function weirSetup(place: Place): string {
	const server = place.nats === "" || place.nats === "nats://127.0.0.1:4222" ? "" : `export NATS_URL=${place.nats}\n`;
	return `${server}${place.checked ? "export WEIR_ACCESS_TOKEN=…" : ""}`.trimEnd();
}

function command(name: "s2" | "weir", call: Call, place: Place): string | null {
	const key = place.encrypted ? " --encryption-key-file key.b64" : "";
	switch (call.kind) {
		case "list-basins":
			return `${name} list-basins`;
		case "list-streams":
			return `${name} list-streams ${call.basin}`;
		case "basin-config":
			return `${name} get-basin-config ${call.basin}`;
		case "stream-config":
			return `${name} get-stream-config ${uri(call.basin, call.stream)}`;
		case "read":
			if (call.from === null) return `${name} tail ${uri(call.basin, call.stream)} -f${key}`;
			if ("seqNum" in call.from) return `${name} read ${uri(call.basin, call.stream)} --seq-num ${call.from.seqNum} --count 100${key}`;
			if ("ms" in call.from) return `${name} read ${uri(call.basin, call.stream)} --timestamp ${call.from.ms} --count 100${key}`;
			return `${name} tail ${uri(call.basin, call.stream)} -n ${call.from.last}${key}`;
		case "append":
			return `echo hello | ${name} append ${uri(call.basin, call.stream)}${key}`;
		case "trim":
			return `${name} trim ${uri(call.basin, call.stream)} 1${key}`;
		case "usage":
			if (name === "s2") return null;
			if (call.stream !== undefined) return `weir get-stream-metrics ${uri(call.basin ?? "", call.stream)} storage --start-ago 1d --end-ago 0s`;
			if (call.basin !== undefined) return `weir get-basin-metrics ${call.basin} storage --start-ago 1d --end-ago 0s`;
			return "weir get-account-metrics account-ops --start-ago 1d --end-ago 0s";
		case "list-tokens":
			return `${name} list-access-tokens`;
		case "health":
			return null;
	}
}

function nats(call: Call, place: Place): string | null {
	if (place.nats === "") return null;
	const who = place.checked ? ` --user "$S2_ACCESS_TOKEN"` : "";
	const req = (subject: string, body: string, rest = "") => `nats --server ${place.nats}${who} req ${shell(subject)} ${shell(body)}${rest}`;
	const key = place.encrypted ? ` -H "S2-Encryption-Key:$S2_ENCRYPTION_KEY"` : "";
	switch (call.kind) {
		case "list-basins":
			return req("s2.v1.basin.list", '{"limit":100}');
		case "list-streams":
			return req(`s2.v1.stream.list.${call.basin}`, '{"limit":100}');
		case "basin-config":
			return req(`s2.v1.basin.get.${call.basin}`, "");
		case "list-tokens":
			return req("s2.v1.token.list", '{"limit":100}');
		case "read":
		case "append":
		case "trim":
		case "stream-config": {
			const at = `${call.basin}.${subjectOf(call.stream)}`;
			if (call.kind === "append") return req(`s2.v1.append.${at}`, "hello", ` -H lang:en${key}`);
			if (call.kind === "trim") {
				return req(`s2.v1.append.${at}`, '{"records":[{"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAE="}]}', ` -H Content-Type:application/json -H S2-Format:base64${key}`);
			}
			if (call.kind === "stream-config") return req(`s2.v1.stream.get.${at}`, "");
			const from = call.from === null ? '{"tail_offset":10,"count":10}' : `{${jsonFrom(call.from)},"count":100}`;
			return req(`s2.v1.read.${at}`, from, key);
		}
		default:
			return null;
	}
}

function jsonFrom(from: { seqNum: number } | { ms: number } | { last: number }): string {
	if ("seqNum" in from) return `"seq_num":${from.seqNum}`;
	if ("ms" in from) return `"timestamp":${from.ms}`;
	return `"tail_offset":${from.last}`;
}

function typescript(call: Call, place: Place): string | null {
	const head = `import { AppendInput, AppendRecord, S2 } from "@s2-dev/streamstore";

const s2 = new S2({
  accessToken: ${place.checked ? "process.env.S2_ACCESS_TOKEN!" : '"ignored"'},
  endpoints: { account: "${place.http}", basin: "${place.http}" },
});`;
	const key = place.encrypted ? ".withEncryptionKey(process.env.S2_ENCRYPTION_KEY!)" : "";
	const stream = (c: { basin: string; stream: string }) => `const stream = s2.basin(${quote(c.basin)}).stream(${quote(c.stream)})${key};`;
	const body = (): string | null => {
		switch (call.kind) {
			case "list-basins":
				return "for await (const basin of s2.basins.listAll()) console.log(basin.name);";
			case "list-streams":
				return `for await (const stream of s2.basin(${quote(call.basin)}).streams.listAll()) console.log(stream.name);`;
			case "basin-config":
				return `console.log(await s2.basins.getConfig({ basin: ${quote(call.basin)} }));`;
			case "stream-config":
				return `console.log(await s2.basin(${quote(call.basin)}).streams.getConfig({ stream: ${quote(call.stream)} }));`;
			case "read": {
				const from = call.from === null ? "tailOffset: 0" : "seqNum" in call.from ? `seqNum: ${call.from.seqNum}` : "ms" in call.from ? `timestamp: ${call.from.ms}` : `tailOffset: ${call.from.last}`;
				return `${stream(call)}\nfor await (const record of await stream.readSession({ start: { from: { ${from} } } })) {\n  console.log(record.seqNum, record.body);\n}`;
			}
			case "append":
				return `${stream(call)}\nconst ack = await stream.append(AppendInput.create([AppendRecord.string({ body: "hello" })]));\nconsole.log(ack);`;
			case "trim":
				return `${stream(call)}\nawait stream.append(AppendInput.create([AppendRecord.trim(1)]));`;
			case "usage": {
				const day = "start: Date.now() - 86_400_000, end: Date.now()";
				if (call.stream !== undefined) return `console.log(await s2.metrics.stream({ basin: ${quote(call.basin ?? "")}, stream: ${quote(call.stream)}, set: "storage", ${day} }));`;
				if (call.basin !== undefined) return `console.log(await s2.metrics.basin({ basin: ${quote(call.basin)}, set: "storage", ${day} }));`;
				return `console.log(await s2.metrics.account({ set: "account-ops", ${day} }));`;
			}
			case "list-tokens":
				return "for await (const token of s2.accessTokens.listAll()) console.log(token.id);";
			case "health":
				return null;
		}
	};
	const text = body();
	return text === null ? null : `${head}\n\n${text}`;
}

/** The Go package client, over NATS. */
function go(call: Call, place: Place): string | null {
	if (place.nats === "") return null;
	const connect = place.checked ? `nats.Connect("${place.nats}", nats.Token(os.Getenv("S2_ACCESS_TOKEN")))` : `nats.Connect("${place.nats}")`;
	const head = `nc, err := ${connect}\nif err != nil {\n\treturn err\n}\ndefer nc.Close()\nsvc := client.New(nc, client.Options{})`;
	const ref = (c: { basin: string; stream: string }) => `ref := protocol.StreamRef{Basin: ${quoteWide(c.basin)}, Stream: ${quoteWide(c.stream)}}`;
	switch (call.kind) {
		case "list-basins":
			return `${head}\npage, err := svc.ListBasins(ctx, protocol.ListRequest{Limit: 100})`;
		case "list-streams":
			return `${head}\npage, err := svc.ListStreams(ctx, ${quoteWide(call.basin)}, protocol.ListRequest{Limit: 100})`;
		default:
			break;
	}
	if (place.encrypted) return null; // how a key is given is in docs/encryption.md
	switch (call.kind) {
		case "append":
			return `${head}\n${ref(call)}\nack, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("hello")}}})`;
		case "read": {
			const from = call.from === null ? "FromTail(10)" : "seqNum" in call.from ? `FromSeqNum(${call.from.seqNum})` : "ms" in call.from ? `FromTimestamp(${call.from.ms})` : `FromTail(${call.from.last})`;
			return `${head}\n${ref(call)}\nbatch, err := svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.${from}})`;
		}
		default:
			return null;
	}
}

/** Python has no SDK of S2's that is pinned here: requests over HTTP. */
function python(call: Call, place: Place): string | null {
	const auth = place.checked ? `\nHEADERS = {"authorization": "Bearer " + os.environ["S2_ACCESS_TOKEN"]}` : "\nHEADERS = {}";
	const head = `import json, os, urllib.parse, urllib.request\n\nAPI = "${place.http}/v1"${auth}\n`;
	const get = (path: string, extra = "") => `${head}\nrequest = urllib.request.Request(API + ${path}, headers=HEADERS${extra})\nprint(json.load(urllib.request.urlopen(request)))`;
	const basin = (name: string) => ` | {"s2-basin": "${name}"${place.encrypted ? ', "s2-encryption-key": os.environ["S2_ENCRYPTION_KEY"]' : ""}}`;
	const records = (stream: string, query = "") => `"/streams/" + urllib.parse.quote(${quoteWide(stream)}, safe="") + "/records${query}"`;
	switch (call.kind) {
		case "list-basins":
			return get('"/basins?limit=100"');
		case "list-streams":
			return get('"/streams?limit=100"', ` | {"s2-basin": "${call.basin}"}`);
		case "basin-config":
			return get(`"/basins/${call.basin}"`);
		case "stream-config":
			return get(`"/streams/" + urllib.parse.quote(${quoteWide(call.stream)}, safe="")`, ` | {"s2-basin": "${call.basin}"}`);
		case "read":
			return get(records(call.stream, `?${call.from === null ? "tail_offset=10" : readQuery(call.from)}&count=100`), basin(call.basin));
		case "append":
			return `${head}\nbody = json.dumps({"records": [{"body": "hello"}]}).encode()\nrequest = urllib.request.Request(API + ${records(call.stream)}, data=body,\n    headers=HEADERS${basin(call.basin)} | {"content-type": "application/json"})\nprint(json.load(urllib.request.urlopen(request)))`;
		case "list-tokens":
			return get('"/access-tokens?limit=100"');
		case "usage": {
			const path = call.stream !== undefined ? `/${call.basin}/" + urllib.parse.quote(${quoteWide(call.stream)}, safe="") + "` : call.basin ? `/${call.basin}` : "";
			const set = call.basin === undefined ? "account-ops" : "storage";
			return `import time\n${get(`f"/metrics${path}?set=${set}&start={int(time.time()) - 86400}&end={int(time.time())}"`)}`.replace('+ "?set', '+ f"?set');
		}
		default:
			return null;
	}
}
