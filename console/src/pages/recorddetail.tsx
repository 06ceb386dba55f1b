/** One record, in full. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { asText, hexDump, roughText, toBase64, toHex } from "../lib/bytes";
import { count, localExact, size, utcExact, offset } from "../lib/format";
import { looksLikeJson, parseJson } from "../lib/jsontree";
import { commandText, fileName, type Header, type Rec } from "../lib/record";
import type { StreamView } from "../lib/streamview";
import { JsonView } from "../ui/jsonview";
import { Button, Choice, Copy, Loading, Name, Notice, When } from "../ui/kit";

export function RecordDetail({
	view,
	seqNum,
	basin,
	stream,
	onGo,
	onClose,
}: {
	view: StreamView;
	seqNum: number;
	basin: string;
	stream: string;
	onGo: (seqNum: number) => void;
	onClose: () => void;
}) {
	void view.revision.value;
	const [record, setRecord] = useState<Rec | null | undefined>(undefined);
	const panel = useRef<HTMLElement>(null);
	useEffect(() => {
		let here = true;
		setRecord((was) => (was?.seqNum === seqNum ? was : undefined));
		void view.one(seqNum).then((found) => {
			if (here) setRecord(found ?? null);
		});
		return () => {
			here = false;
		};
	}, [view, seqNum, view.generation, view.error?.code]);
	useEffect(() => panel.current?.focus({ preventScroll: true }), []);
	const shown = record?.seqNum === seqNum ? record : undefined;
	return (
		<aside
			class="detail"
			aria-label={`Record ${seqNum}`}
			tabIndex={-1}
			ref={panel}
			onKeyDown={(e) => {
				if (e.key === "Escape") onClose();
			}}
		>
			<header>
				<h2>
					Record <span class="mono">{count(seqNum)}</span>
				</h2>
				<span class="grow" />
				<Button kind="ghost" icon="left" label="Previous record" disabled={seqNum <= (view.first ?? 0)} onClick={() => onGo(seqNum - 1)} />
				<Button kind="ghost" icon="right" label="Next record" disabled={seqNum + 1 >= (view.tail ?? 0)} onClick={() => onGo(seqNum + 1)} />
				<Button kind="ghost" icon="close" label="Close the record" onClick={onClose} />
			</header>
			<div class="detail-body">
				{shown ? (
					<Record record={shown} basin={basin} stream={stream} />
				) : record === null ? (
					<Notice kind="warn" title="This record is not there.">
						<p>
							{view.error
								? view.error.message
								: `It was trimmed or has expired, or has not been appended yet. The stream holds records ${view.first ?? "?"} to ${(view.tail ?? 0) - 1}.`}
						</p>
					</Notice>
				) : (
					<Loading what="the record" />
				)}
			</div>
		</aside>
	);
}

function Record({ record, basin, stream }: { record: Rec; basin: string; stream: string }) {
	const command = record.command;
	return (
		<>
			<dl class="lines">
				<Fact name="Time">
					<When at={record.at} />
				</Fact>
				<Fact name={`Local (${offset(record.at)})`}>
					<span class="mono">{localExact(record.at)}</span>
				</Fact>
				<Fact name="UTC">
					<span class="mono">{utcExact(record.at)}</span>
				</Fact>
				<Fact name="Timestamp">
					<span class="mono">{Number.isNaN(record.at) ? "later than a browser can tell" : record.at}</span>
				</Fact>
				<Fact name="Size">
					{size(record.metered)} metered, body {size(record.bodySize)}
				</Fact>
			</dl>
			{command && (
				<Notice kind="info" title={<span class="tag command">{command.kind === "other" ? "command" : command.kind}</span>}>
					<p>This record is a command: it {commandText(command)}.</p>
				</Notice>
			)}
			{!command && <Headers headers={record.headers} />}
			<Body key={record.seqNum} record={record} basin={basin} stream={stream} />
		</>
	);
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
	return (
		<div>
			<dt>{name}</dt>
			<dd>{children}</dd>
		</div>
	);
}

function Headers({ headers }: { headers: ReadonlyArray<Header> }) {
	if (headers.length === 0) return <p class="quiet">No headers.</p>;
	return (
		<div class="table-wrap">
			<table>
				<caption class="unseen">Headers</caption>
				<thead>
					<tr>
						<th scope="col">Header</th>
						<th scope="col">Value</th>
						<th scope="col">
							<span class="unseen">Copy</span>
						</th>
					</tr>
				</thead>
				<tbody>
					{headers.map(([name, value], i) => (
						<tr key={i}>
							<th scope="row">
								<Bytes bytes={name} />
							</th>
							<td>
								<Bytes bytes={value} />
							</td>
							<td class="tools">
								<Copy text={() => roughText(value)} label="Copy the value" />
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

/** A name or value of any bytes. */
function Bytes({ bytes }: { bytes: Uint8Array }) {
	if (bytes.length === 0) return <span class="quiet">empty</span>;
	const text = asText(bytes);
	if (text !== null) return <Name text={text} />;
	return (
		<span class="mono name">
			<span class="tag">not UTF-8</span> 0x{toHex(bytes)}
		</span>
	);
}

type Form = "text" | "json" | "hex" | "base64";

/** Bytes of a body that are shown at once. */
const step = 64 << 10;

function Body({ record, basin, stream }: { record: Rec; basin: string; stream: string }) {
	const { body } = record;
	const text = useMemo(() => asText(body), [body]);
	const json = useMemo(() => (text !== null && record.whole && looksLikeJson(text) ? parseJson(text) : null), [text]);
	const [chosen, setChosen] = useState<Form | undefined>();
	const [shown, setShown] = useState(step);
	if (record.bodySize === 0) return <p class="quiet">The body is empty.</p>;
	const natural: Form = json ? "json" : text !== null ? "text" : "hex";
	const form = chosen === "json" && !json ? natural : (chosen ?? natural);
	const forms: Array<readonly [Form, string]> = [["text", "Text"], ...(json ? [["json", "JSON"] as const] : []), ["hex", "Hex"], ["base64", "Base64"]];
	const part = body.subarray(0, shown);
	const copied = () => (form === "hex" ? toHex(body) : form === "base64" ? toBase64(body) : roughText(body));
	return (
		<section class="stack" aria-label="Body">
			<div class="toolbar">
				<Choice label="Show the body as" value={form} options={forms} onValue={setChosen} />
				<span class="grow" />
				<Copy text={copied} label="Copy the body" />
				<Button kind="ghost" icon="download" label="Download the body" onClick={() => download(body, fileName(basin, stream, record.seqNum))} />
			</div>
			{form === "text" && text === null && <p class="hint">Not UTF-8: bytes that are no text are shown as �. Hex shows them.</p>}
			{form === "json" && json ? (
				<div class="block">
					<JsonView value={json} />
				</div>
			) : (
				<pre class={form === "hex" ? "block hex" : "block"} tabIndex={0} role="region" aria-label="The body">
					{form === "hex" ? hexDump(part) : form === "base64" ? toBase64(part) : roughText(part)}
				</pre>
			)}
			{form !== "json" && body.length > shown && (
				<p class="toolbar">
					<span class="quiet">
						{size(shown)} of {size(body.length)}
					</span>
					<Button onClick={() => setShown(shown + 4 * step)}>Show more</Button>
				</p>
			)}
		</section>
	);
}

/** Saves bytes as a file. Its type tells browsers not to open it. */
function download(bytes: Uint8Array, name: string): void {
	const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/octet-stream" }));
	const link = document.createElement("a");
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
