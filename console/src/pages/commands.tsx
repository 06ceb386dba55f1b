/** Trim, fence and close: what they will do is said before it is done. */
import { type AppendAck, AppendInput, AppendRecord } from "@s2-dev/streamstore";
import { useState } from "preact/hooks";
import { utf8 } from "../lib/bytes";
import { closeStream } from "../lib/byhand";
import { stream as streamOf, uncertain } from "../lib/client";
import { count } from "../lib/format";
import { keyOf } from "../lib/keys";
import { useAction } from "../lib/load";
import { href } from "../lib/route";
import { allows } from "../lib/session";
import { wholeNumber } from "../lib/start";
import type { StreamView } from "../lib/streamview";
import { Button, Dialog, Failed, Name, TextField } from "../ui/kit";
import { Acknowledged } from "./append";
import { type Fencing, probing } from "./stream";

type Props = { basin: string; stream: string; view: StreamView; fencing: Fencing | undefined; onDone: () => void };

export function Commands(props: Props) {
	const names = { basin: props.basin, stream: props.stream };
	return (
		<div class="cards">
			{allows("trim", names) && <Trim {...props} />}
			{allows("fence", names) && <Fence {...props} />}
			{allows("append", names) && <Close {...props} />}
		</div>
	);
}

/** Appends a command and keeps its ack. */
function useCommand({ basin, stream, onDone }: Props): ReturnType<typeof useAction<[AppendRecord, string]>> & { ack: AppendAck | undefined } {
	const [ack, setAck] = useState<AppendAck | undefined>();
	const action = useAction(async (record: AppendRecord, token: string) => {
		setAck(undefined);
		const input = AppendInput.create([record], token === "" ? {} : { fencingToken: token });
		setAck(await streamOf(basin, stream, keyOf(basin, stream)).append(input));
		onDone();
	});
	return { ...action, ack };
}

function ackLink({ basin, stream }: Props, ack: AppendAck): string {
	return href({ page: "stream", basin, stream }, { at: `seq:${Math.max(0, ack.start.seqNum - 3)}`, record: ack.start.seqNum });
}

function Trim(props: Props) {
	const { view } = props;
	void view.revision.value;
	const [text, setText] = useState("");
	const [sure, setSure] = useState(false);
	const trim = useCommand(props);
	const seqNum = text === "" ? undefined : wholeNumber(text);
	const { first, tail } = view;
	const gone = seqNum === undefined || first === undefined || tail === undefined ? undefined : Math.max(0, Math.min(seqNum, tail) - first);
	return (
		<form
			class="card"
			onSubmit={(e) => {
				e.preventDefault();
				if (seqNum !== undefined) setSure(true);
			}}
		>
			<h2>Trim</h2>
			<p class="quiet">
				Hides every record below a seq_num, for good; their space is freed soon after. The seq_nums of the others stay as they are. The trim
				itself is a record of the stream.
			</p>
			<TextField
				label="Trim all records below"
				mono
				inputMode="numeric"
				placeholder="seq_num"
				value={text}
				onValue={setText}
				error={text !== "" && seqNum === undefined ? "A whole number." : undefined}
			/>
			<p>
				{gone === undefined
					? first !== undefined && tail !== undefined
						? `The stream holds ${count(tail - first)} records: ${tail > first ? `${count(first)} to ${count(tail - 1)}` : "none"}.`
						: ""
					: gone === 0
						? "No record will go."
						: `${count(gone)} of ${count((tail ?? 0) - (first ?? 0))} records will go: ${count(first ?? 0)} to ${count((first ?? 0) + gone - 1)}.`}
			</p>
			{trim.error && <Failed error={trim.error} />}
			{trim.ack && <Acknowledged ack={trim.ack} to={ackLink(props, trim.ack)} />}
			<div class="actions">
				<Button kind="danger" type="submit" disabled={seqNum === undefined} busy={trim.busy}>
					Trim…
				</Button>
			</div>
			{sure && seqNum !== undefined && (
				<Dialog title="Trim the stream?" onClose={() => setSure(false)}>
					<p>
						All records of <Name text={props.stream} /> below seq_num {count(seqNum)} will go{gone ? `: ${count(gone)} of them` : ""}. This cannot be undone.
					</p>
					<div class="actions">
						<Button onClick={() => setSure(false)}>Cancel</Button>
						<Button
							kind="danger"
							onClick={() => {
								setSure(false);
								trim.run(AppendRecord.trim(seqNum), props.fencing?.kind === "set" ? props.fencing.token : "");
							}}
						>
							Trim below {count(seqNum)}
						</Button>
					</div>
				</Dialog>
			)}
		</form>
	);
}

function Fence(props: Props) {
	const { fencing } = props;
	const [token, setToken] = useState("");
	const [sure, setSure] = useState(false);
	const fence = useCommand(props);
	const long = utf8(token).length > 36;
	const now = fencing?.kind === "set" ? fencing.token : "";
	const clears = token === "";
	return (
		<form
			class="card"
			onSubmit={(e) => {
				e.preventDefault();
				if (!long) setSure(true);
			}}
		>
			<h2>Fence</h2>
			<p class="quiet">
				Sets the fencing token. Appends that give another token are refused from then on, which keeps out a writer that was replaced. Appends
				that give none are not affected. The fence itself is a record of the stream.
			</p>
			<p>
				{fencing?.kind === "set" ? (
					<>
						In force: <Name text={fencing.token} />
					</>
				) : fencing?.kind === "none" ? (
					"No token is set."
				) : (
					"The token in force is not known."
				)}
			</p>
			<p class="hint">{probing}</p>
			<TextField
				label="New fencing token"
				mono
				placeholder="empty takes it away"
				value={token}
				onValue={setToken}
				error={long ? "At most 36 bytes." : undefined}
			/>
			{fence.error && <Failed error={fence.error} />}
			{fence.ack && <Acknowledged ack={fence.ack} to={ackLink(props, fence.ack)} />}
			<div class="actions">
				<Button kind="primary" type="submit" disabled={long || (clears && fencing?.kind === "none")} busy={fence.busy}>
					{clears ? "Take the token away…" : "Fence…"}
				</Button>
			</div>
			{sure && (
				<Dialog title={clears ? "Take the fencing token away?" : "Fence the stream?"} onClose={() => setSure(false)}>
					<p>
						{clears ? (
							<>Every append that still gives a token will be refused, until a new one is set.</>
						) : (
							<>
								From now on, appends to <Name text={props.stream} /> with another token than <Name text={token} /> are refused
								{now !== "" ? <>: those of the writer that uses <Name text={now} />, too</> : ""}.
							</>
						)}
					</p>
					<div class="actions">
						<Button onClick={() => setSure(false)}>Cancel</Button>
						<Button
							kind="primary"
							onClick={() => {
								setSure(false);
								fence.run(AppendRecord.fence(token), now);
							}}
						>
							{clears ? "Take the token away" : "Fence"}
						</Button>
					</div>
				</Dialog>
			)}
		</form>
	);
}

function Close({ basin, stream, view, fencing, onDone }: Props) {
	void view.revision.value;
	/** The tail that somebody has seen; undefined while the question is not asked. */
	const [at, setAt] = useState<number | undefined>();
	const close = useAction(async (tail: number) => {
		await closeStream(basin, stream, tail, { token: fencing?.kind === "set" ? fencing.token : "", key: keyOf(basin, stream) });
		onDone();
	});
	return (
		<form
			class="card"
			onSubmit={(e) => {
				e.preventDefault();
				setAt(view.tail);
			}}
		>
			<h2>Close</h2>
			<p class="quiet">
				Ends the stream for good: no record follows, and those who follow it get the last one and a clean end. It can still be read and
				deleted. No call opens it again.
			</p>
			<p role="status">{view.closed ? `The stream is closed, with ${count(view.tail ?? 0)} as its tail.` : "The stream is open."}</p>
			{close.error && <Failed error={close.error} />}
			{close.error && uncertain(close.error) && <p class="quiet">Whether the stream is closed is shown above, once the broker answers.</p>}
			<div class="actions">
				<Button kind="danger" type="submit" disabled={view.closed || view.tail === undefined} busy={close.busy}>
					Close the stream…
				</Button>
			</div>
			{at !== undefined && (
				<Dialog title="Close the stream for good?" onClose={() => setAt(undefined)}>
					<p>
						{at === 0 ? (
							<>
								<Name text={stream} /> has no record, and never gets one.
							</>
						) : (
							<>
								Record {count(at - 1)} is the last one of <Name text={stream} />.
							</>
						)}{" "}
						If one is appended meanwhile, the stream is not closed.
					</p>
					<div class="actions">
						<Button onClick={() => setAt(undefined)}>Cancel</Button>
						<Button
							kind="danger"
							onClick={() => {
								setAt(undefined);
								close.run(at);
							}}
						>
							Close the stream
						</Button>
					</div>
				</Dialog>
			)}
		</form>
	);
}
