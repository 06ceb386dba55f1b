/** Appending by hand. */
import { type AppendAck, AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { useState } from "preact/hooks";
import { fromBase64, fromHex, utf8 } from "../lib/bytes";
import { stream as streamOf, uncertain } from "../lib/client";
import { count, localExact, size } from "../lib/format";
import { keyOf } from "../lib/keys";
import { useAction } from "../lib/load";
import { href } from "../lib/route";
import { wholeNumber } from "../lib/start";
import type { StreamView } from "../lib/streamview";
import { Button, Choice, Failed, Field, Link, Notice, TextField } from "../ui/kit";
import { parseBatch } from "../lib/batch";
import { type Fencing, probing } from "./stream";

type Encoding = "text" | "base64" | "hex";

/** The bytes that a text stands for; null if it stands for none. */
export function decode(text: string, encoding: Encoding): Uint8Array | null {
	if (encoding === "text") return utf8(text);
	return encoding === "base64" ? fromBase64(text) : fromHex(text);
}

type HeaderRow = { id: number; name: string; value: string };
let rows = 0;

export function Append({
	basin,
	stream,
	view,
	fencing,
	onDone,
}: {
	basin: string;
	stream: string;
	view: StreamView;
	fencing: Fencing | undefined;
	onDone: () => void;
}) {
	void view.revision.value;
	const [kind, setKind] = useState<"one" | "batch">("one");
	const [body, setBody] = useState("");
	const [encoding, setEncoding] = useState<Encoding>("text");
	const [headers, setHeaders] = useState<HeaderRow[]>([]);
	const [stamp, setStamp] = useState("");
	const [lines, setLines] = useState("");
	const [form, setForm] = useState<"lines" | "json">("lines");
	const [match, setMatch] = useState("");
	const [token, setToken] = useState("");
	const [ack, setAck] = useState<AppendAck | undefined>();

	const wrong: { body?: string; match?: string; stamp?: string; lines?: string; token?: string; headers?: string } = {};
	let records: AppendRecord[] = [];
	const at = stamp === "" ? undefined : wholeNumber(stamp);
	if (stamp !== "" && at === undefined) wrong.stamp = "Milliseconds since 1970, as a whole number.";
	const matchSeqNum = match === "" ? undefined : wholeNumber(match);
	if (match !== "" && matchSeqNum === undefined) wrong.match = "A whole number.";
	if (utf8(token).length > 36) wrong.token = "At most 36 bytes.";
	if (kind === "one") {
		const bytes = decode(body, encoding);
		if (bytes === null) wrong.body = encoding === "hex" ? "Not hexadecimal." : "Not Base64.";
		else records = [AppendRecord.bytes({ body: bytes, headers: headers.map((h) => [h.name, h.value] as const), ...(at !== undefined && { timestamp: at }) })];
		if (headers.some((h) => h.name === "")) {
			wrong.headers = "A header needs a name: one without a name would make the record a command.";
		}
	} else {
		const read = parseBatch(lines, form);
		if (typeof read === "string") wrong.lines = read;
		else records = read;
	}
	const metered = records.reduce((sum, record) => sum + record.meteredBytes, 0);
	if (metered > 1 << 20) wrong[kind === "one" ? "body" : "lines"] = `${size(metered)} metered; an append takes at most 1 MiB.`;
	if (records.length > 1000) wrong.lines = `${count(records.length)} records; an append takes at most 1,000.`;
	const usable = Object.keys(wrong).length === 0 && records.length > 0;

	const append = useAction(async () => {
		setAck(undefined);
		const input = AppendInput.create(records, {
			...(matchSeqNum !== undefined && { matchSeqNum }),
			...(token !== "" && { fencingToken: token }),
		});
		setAck(await streamOf(basin, stream, keyOf(basin, stream)).append(input));
		onDone();
	});
	const held = fencing?.kind === "set" && token === "";
	return (
		<div class="columns">
			<form
				class="card"
				onSubmit={(e) => {
					e.preventDefault();
					if (usable && !view.closed) append.run();
				}}
				onKeyDown={(e) => {
					if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && usable && !view.closed) append.run();
				}}
			>
				<Choice label="How many records" value={kind} options={[["one", "One record"], ["batch", "A batch"]]} onValue={setKind} />
				{kind === "one" ? (
					<>
						<div class="stack tight">
							<Field label="Body" error={wrong.body} hint={`${size(decode(body, encoding)?.length ?? 0)}`}>
								{(control) => (
									<textarea {...control} rows={8} spellcheck={false} value={body} onInput={(e) => setBody(e.currentTarget.value)} />
								)}
							</Field>
							<Choice label="The body is" value={encoding} options={[["text", "Text"], ["base64", "Base64"], ["hex", "Hex"]]} onValue={setEncoding} />
						</div>
						<fieldset class="stack tight">
							<legend>Headers</legend>
							{headers.map((header, i) => (
								<div class="header-row" key={header.id}>
									<input
										class="mono"
										aria-label={`Name of header ${i + 1}`}
										placeholder="name"
										value={header.name}
										onInput={(e) => setHeaders(headers.map((h) => (h.id === header.id ? { ...h, name: e.currentTarget.value } : h)))}
									/>
									<input
										class="mono"
										aria-label={`Value of header ${i + 1}`}
										placeholder="value"
										value={header.value}
										onInput={(e) => setHeaders(headers.map((h) => (h.id === header.id ? { ...h, value: e.currentTarget.value } : h)))}
									/>
									<Button kind="ghost" icon="close" label={`Remove header ${i + 1}`} onClick={() => setHeaders(headers.filter((h) => h.id !== header.id))} />
								</div>
							))}
							{wrong.headers && <p class="hint bad">{wrong.headers}</p>}
							<div>
								<Button icon="plus" onClick={() => setHeaders([...headers, { id: rows++, name: "", value: "" }])}>
									Add a header
								</Button>
							</div>
						</fieldset>
					</>
				) : (
					<>
						<Choice label="The batch is" value={form} options={[["lines", "A record a line"], ["json", "JSON a line"]]} onValue={setForm} />
						<Field
							label="Records"
							error={lines === "" ? undefined : wrong.lines}
							hint={
								form === "lines"
									? "Each line is the body of a record."
									: 'Each line is a record: {"body": "…", "headers": [["name", "value"]], "timestamp": 1700000000000}. All of it is optional.'
							}
						>
							{(control) => (
								<textarea {...control} rows={12} spellcheck={false} value={lines} onInput={(e) => setLines(e.currentTarget.value)} />
							)}
						</Field>
						<p class="quiet">
							{count(records.length)} {records.length === 1 ? "record" : "records"}, {size(metered)} metered. All are stored, or none.
						</p>
					</>
				)}
				<div class="pair">
					{kind === "one" && (
						<TextField label="Timestamp" mono inputMode="numeric" placeholder="arrival" value={stamp} onValue={setStamp} error={wrong.stamp} hint="Milliseconds since 1970" />
					)}
					<div class="field">
						<TextField label="match_seq_num" mono inputMode="numeric" placeholder="no condition" value={match} onValue={setMatch} error={wrong.match} hint="Refuse unless the first record gets this" />
						{view.tail !== undefined && match !== String(view.tail) && (
							<Button kind="ghost" onClick={() => setMatch(String(view.tail))}>
								Use the tail, {count(view.tail)}
							</Button>
						)}
					</div>
					<div class="field">
						<TextField label="Fencing token" mono placeholder="no condition" value={token} onValue={setToken} error={wrong.token} hint="Refuse unless it is the one in force" />
						{held && (
							<Button kind="ghost" title={probing} onClick={() => setToken(fencing.token)}>
								Use the one in force
							</Button>
						)}
					</div>
				</div>
				<div class="actions">
					<span class="quiet hide-small">
						<kbd>Ctrl</kbd> <kbd>Enter</kbd>
					</span>
					<Button kind="primary" type="submit" busy={append.busy} disabled={!usable || view.closed}>
						{kind === "one" || records.length === 1 ? "Append the record" : `Append ${count(records.length)} records`}
					</Button>
				</div>
			</form>
			<div class="stack" aria-live="polite">
				{view.closed && (
					<Notice kind="info" title="The stream is closed">
						<p>It takes no record any more, for good. Fork it to go on from its records.</p>
					</Notice>
				)}
				{append.error && (
					<>
						<Failed error={append.error} />
						{uncertain(append.error) ? (
							<Notice kind="warn" title="Whether the records are stored is not known.">
								<p>Look at the end of the stream before you append again.</p>
							</Notice>
						) : (
							<p class="quiet">Nothing was stored.</p>
						)}
					</>
				)}
				{ack && <Acknowledged ack={ack} to={href({ page: "stream", basin, stream }, { at: `seq:${Math.max(0, ack.start.seqNum - 3)}`, record: ack.start.seqNum })} />}
				{!ack && !append.error && !view.closed && <p class="quiet">The broker answers when the records are durable. Its answer shows up here, in full.</p>}
			</div>
		</div>
	);
}

/** An ack in full. */
export function Acknowledged({ ack, to }: { ack: AppendAck; to: string }) {
	const n = ack.end.seqNum - ack.start.seqNum;
	return (
		<Notice kind="good" title={n === 1 ? `Stored as record ${count(ack.start.seqNum)}` : `Stored as records ${count(ack.start.seqNum)} to ${count(ack.end.seqNum - 1)}`}>
			<table class="ack">
				<caption class="unseen">The acknowledgement</caption>
				<thead>
					<tr>
						<td />
						<th scope="col" class="num">
							seq_num
						</th>
						<th scope="col">timestamp</th>
					</tr>
				</thead>
				<tbody>
					{(["start", "end", "tail"] as const).map((name) => (
						<tr key={name}>
							<th scope="row">{name}</th>
							<td class="num mono">{count(ack[name].seqNum)}</td>
							<td class="mono">{localExact(ack[name].timestamp.getTime())}</td>
						</tr>
					))}
				</tbody>
			</table>
			<p>
				<Link to={to}>{n === 1 ? "Show the record" : "Show the records"}</Link>
			</p>
		</Notice>
	);
}
