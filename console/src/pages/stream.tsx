/** A stream: what it is, its records, and what one can do to it. */
import { AppendInput, AppendRecord, FencingTokenMismatchError, SeqNumMismatchError, type StreamInfo } from "@s2-dev/streamstore";
import { useEffect, useMemo, useState } from "preact/hooks";
import { basin as basinOf, cancelled, stream as streamOf } from "../lib/client";
import { tailOf } from "../lib/byhand";
import { duration, count } from "../lib/format";
import { keyOf, setKey } from "../lib/keys";
import { type Loaded, useLoad } from "../lib/load";
import { currentQuery, go, href } from "../lib/route";
import { allows, epoch, token } from "../lib/session";
import { gone, StreamView } from "../lib/streamview";
import { Icon } from "../ui/icons";
import { announce, Button, Copy, Failed, Link, Name, Tabs, When } from "../ui/kit";
import { Crumbs } from "../ui/crumbs";
import { Snippets } from "../ui/snippetsdialog";
import { Append } from "./append";
import { Commands } from "./commands";
import { KeyForm } from "./keyform";
import { Records } from "./records";
import { DeleteStream } from "./streamdelete";
import { ForkStream } from "./streamfork";
import { StreamConfigPage } from "./streamconfig";
import { StreamUsage } from "./usage";

/** How the token is found out, for who wonders. */
export const probing =
	"The API tells the fencing token only to an append with another one. The console sends one that cannot succeed: nothing is stored, and it counts as a failed append in the metrics.";

export type Fencing = { kind: "unknown" } | { kind: "none" } | { kind: "set"; token: string };

const lookEvery = 3000;

/** A view of the stream that lives as long as the page shows it. */
function useStreamView(basin: string, stream: string, key: string | undefined): StreamView {
	const secret = token();
	const view = useMemo(() => new StreamView(streamOf(basin, stream, key), (signal) => tailOf(basin, stream, signal)), [basin, stream, key, secret]);
	useEffect(() => {
		void view.open();
		const looking = setInterval(() => {
			if (document.visibilityState !== "visible") return;
			const { kind } = view.following;
			if (kind === "off" || kind === "paused" || kind === "closed") void view.look();
		}, lookEvery);
		const trimmed = setInterval(() => {
			if (document.visibilityState === "visible") void view.findFirst();
		}, 5 * lookEvery);
		const seen = () => view.seen(document.visibilityState === "visible");
		document.addEventListener("visibilitychange", seen);
		return () => {
			clearInterval(looking);
			clearInterval(trimmed);
			document.removeEventListener("visibilitychange", seen);
			view.close();
		};
	}, [view]);
	// Once the broker is back, all of it is asked for again.
	const era = epoch.value;
	useEffect(() => {
		if (view.error || view.tailError) {
			view.error = undefined;
			void view.open();
		}
	}, [era]);
	void view.revision.value;
	return view;
}

/** What the list of streams tells of this one; undefined if the token may not list. */
function useInfo(basin: string, stream: string): Loaded<StreamInfo | undefined> {
	const may = allows("list-streams", { basin });
	return useLoad(
		async (signal) => {
			if (!may) return undefined;
			const { streams } = await basinOf(basin).streams.list({ prefix: stream, limit: 1 }, { signal });
			return streams[0]?.name === stream ? streams[0] : undefined;
		},
		[basin, stream, may],
	);
}

/**
 * The fencing token in force. S2's API tells it only to an append that gives another one. This append cannot succeed: its
 * match_seq_num is one that no stream has, and its token one that nobody uses.
 */
export async function fencingToken(basin: string, stream: string, key: string | undefined, signal: AbortSignal): Promise<Fencing> {
	const never = AppendInput.create([AppendRecord.string({ body: "" })], {
		matchSeqNum: Number.MAX_SAFE_INTEGER,
		fencingToken: crypto.getRandomValues(new Uint32Array(4)).join("").slice(0, 36),
	});
	try {
		await streamOf(basin, stream, key).append(never, { signal });
	} catch (e) {
		if (e instanceof FencingTokenMismatchError) {
			return e.expectedFencingToken === "" ? { kind: "none" } : { kind: "set", token: e.expectedFencingToken };
		}
		if (e instanceof SeqNumMismatchError || cancelled(e)) return { kind: "unknown" };
		return { kind: "unknown" };
	}
	return { kind: "unknown" };
}

export function StreamPage({ basin, stream }: { basin: string; stream: string }) {
	const query = currentQuery();
	const tab = query.get("tab") ?? "records";
	const key = keyOf(basin, stream);
	const view = useStreamView(basin, stream, key);
	const info = useInfo(basin, stream);
	const names = { basin, stream };
	const mayConfig = allows("get-stream-config", names);
	const config = useLoad(
		async (signal) => (mayConfig ? await basinOf(basin).streams.getConfig({ stream }, { signal }) : undefined),
		[basin, stream, mayConfig],
	);
	const [asked, ask] = useState(0);
	const mayAppend = allows("append", names);
	const wantsKey = view.error?.code === "bad_header" || (Boolean(info.data?.cipher) && key === undefined);
	// Looking at a stream tries no append. Who is about to append, trim or fence wants to know; others ask. Only where the
	// stream is known to be there: an append could create it.
	const wanted = asked > 0 || tab === "append" || tab === "commands";
	const known = wanted && config.data !== undefined && !wantsKey;
	const fencing = useLoad<Fencing>(
		async (signal) => (known && mayAppend ? await fencingToken(basin, stream, key, signal) : { kind: "unknown" }),
		[basin, stream, known, mayAppend, asked],
	);
	const [deleting, setDeleting] = useState(false);
	const [forking, setForking] = useState(false);
	const to = (tab: string) => href({ page: "stream", basin, stream }, { tab: tab === "records" ? undefined : tab });
	const changed = () => {
		void view.look();
		void view.findFirst();
		ask((n) => n + 1);
	};
	const tabs = [
		["records", "Records", allows("read", names)],
		["append", "Append", mayAppend],
		["commands", "Trim, fence, close", allows("trim", names) || allows("fence", names) || mayAppend],
		["config", "Configuration", mayConfig],
		["usage", "Usage", allows("stream-metrics", names)],
	] as const;
	const shown = tabs.filter(([, , may]) => may).map(([id, text]) => [id, text, to(id)] as const);
	const { first, tail, tailAt } = view;
	const retention = config.data?.retentionPolicy;
	if (view.tailError && gone(view.tailError)) {
		return (
			<>
				<Crumbs basin={basin} stream={stream} />
				<div class="page-head">
					<h1>
						<Name text={stream} />
					</h1>
				</div>
				<Failed error={view.tailError} retry={() => void view.open()} />
				<p>
					<Link to={href({ page: "basin", basin })}>The streams of {basin}</Link>
				</p>
			</>
		);
	}
	const locked = wantsKey && (tab === "records" || tab === "append" || tab === "commands");
	const wrongKey = view.error?.code === "decryption_failed" || (view.error?.code === "bad_header" && key !== undefined);
	return (
		<>
			<Crumbs basin={basin} stream={stream} />
			<div class="page-head">
				<div class="title">
					<h1>
						<Name text={stream} />
					</h1>
					<Copy text={stream} label="Copy the name" />
				</div>
				<div class="actions">
					{key !== undefined && (
						<Button icon="lock" onClick={() => setKey(basin, stream, undefined)}>
							Forget the key
						</Button>
					)}
					<Snippets route={{ page: "stream", basin, stream }} tab={tab} encrypted={Boolean(info.data?.cipher)} />
					{allows("read", names) && allows("create-stream", { basin }) && (
						<Button icon="fork" onClick={() => setForking(true)}>
							Fork
						</Button>
					)}
					{allows("delete-stream", names) && (
						<Button icon="trash" onClick={() => setDeleting(true)}>
							Delete
						</Button>
					)}
				</div>
			</div>
			{view.tailError && <Failed error={view.tailError} retry={() => void view.open()} />}
			<dl class="facts">
				<div>
					<dt>Tail</dt>
					<dd>
						{tail === undefined ? "–" : count(tail)}
						<small>
							{view.closed && <>closed, </>}
							{tail === undefined ? " " : tail === 0 ? (view.closed ? "nothing was appended" : "nothing appended yet") : <>last record <When at={tailAt} /></>}
						</small>
					</dd>
				</div>
				<div>
					<dt>Records kept</dt>
					<dd>
						{first === undefined || tail === undefined ? "–" : count(tail - first)}
						<small>{first === undefined ? " " : first === 0 ? "nothing trimmed" : `from seq_num ${count(first)} on`}</small>
					</dd>
				</div>
				<div>
					<dt>Fencing token</dt>
					<dd>
						{fencing.data?.kind === "set" ? <Name text={fencing.data.token} /> : fencing.data?.kind === "none" ? "not set" : "–"}
						<small>
							{fencing.data?.kind === "set" ? (
								"set"
							) : fencing.data?.kind === "none" ? (
								"no token is needed"
							) : !mayAppend ? (
								"told to writers only"
							) : (
								!wanted &&
								!wantsKey && (
									<button type="button" class="ask" title={probing} onClick={() => ask((n) => n + 1)}>
										find out
									</button>
								)
							)}
						</small>
					</dd>
				</div>
				<div>
					<dt>Retention</dt>
					<dd>
						{config.data === undefined ? "–" : !retention || "infinite" in retention ? "until trimmed" : duration(retention.ageSecs)}
						<small>{config.data?.storageClass ? `class ${config.data.storageClass}` : " "}</small>
					</dd>
				</div>
				<div>
					<dt>Encryption</dt>
					<dd>
						{info.data?.cipher ? (
							<span class="entry">
								<Icon name="lock" /> {info.data.cipher}
							</span>
						) : info.data ? "none" : "–"}
						<small>{info.data?.createdAt ? <>created <When at={info.data.createdAt} /></> : " "}</small>
					</dd>
				</div>
			</dl>
			<Tabs label="Views of the stream" current={tab} tabs={shown} />
			{locked || (wrongKey && tab === "records") ? (
				<KeyForm basin={basin} stream={stream} cipher={info.data?.cipher ?? null} error={wrongKey ? view.error : undefined} />
			) : tab === "append" && mayAppend ? (
				<Append basin={basin} stream={stream} view={view} fencing={fencing.data} onDone={changed} />
			) : tab === "commands" ? (
				<Commands basin={basin} stream={stream} view={view} fencing={fencing.data} onDone={changed} />
			) : tab === "config" ? (
				<StreamConfigPage basin={basin} stream={stream} config={config} />
			) : tab === "usage" ? (
				<StreamUsage basin={basin} stream={stream} />
			) : allows("read", names) ? (
				<Records key={`${view.generation}`} view={view} basin={basin} stream={stream} />
			) : (
				<p class="quiet">Your access token does not read this stream.</p>
			)}
			{forking && <ForkStream basin={basin} stream={stream} view={view} onClose={() => setForking(false)} />}
			{deleting && (
				<DeleteStream
					basin={basin}
					stream={stream}
					onClose={() => setDeleting(false)}
					onDeleted={() => {
						announce("The stream is being deleted");
						go(href({ page: "basin", basin }));
					}}
				/>
			)}
		</>
	);
}

