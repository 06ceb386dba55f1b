/** The records of a stream: a list from the first to the tail, of which what is in sight is loaded. */
import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { find, marks } from "../lib/find";
import { count, fromInput, localClock, localExact, short, size, toInput, offset } from "../lib/format";
import { currentQuery, href, setQuery } from "../lib/route";
import { commandText, type Rec } from "../lib/record";
import { formatStart, parseStart, type Start, wholeNumber } from "../lib/start";
import type { StreamView } from "../lib/streamview";
import { roughText, pieces } from "../lib/bytes";
import { allows } from "../lib/session";
import { Button, Choice, Empty, Failed, Field, Link, Loading } from "../ui/kit";
import { type ListHandle, VirtualList } from "../ui/virtuallist";
import { Icon } from "../ui/icons";
import { RecordDetail } from "./recorddetail";

const rowWide = 28;
const rowNarrow = 48;

function useNarrow(): boolean {
	const media = useMemo(() => matchMedia("(max-width: 760px)"), []);
	const [, redraw] = useReducer((n: number) => n + 1, 0);
	useEffect(() => {
		const listen = () => redraw(0);
		media.addEventListener("change", listen);
		return () => media.removeEventListener("change", listen);
	}, [media]);
	return media.matches;
}

export function Records({ view, basin, stream }: { view: StreamView; basin: string; stream: string }) {
	const query = currentQuery();
	const at = query.get("at");
	const opened = wholeNumber(query.get("record") ?? "");
	const narrow = useNarrow();
	const list = useRef<ListHandle | null>(null);
	const applied = useRef<string | null>(null);
	const [cursor, setCursor] = useState<number | undefined>(opened);
	void view.revision.value;
	const { first, tail } = view;
	const ready = first !== undefined && tail !== undefined;
	const total = ready ? tail - first : 0;
	const live = view.following.kind === "live" || view.following.kind === "fast" || view.following.kind === "waiting";
	const atTail = live || view.following.kind === "closed";
	const leaveTail = () => {
		if (live) view.pause();
		else if (atTail) view.stop();
	};

	const place = async (start: Start) => {
		if (start.kind === "live") {
			view.resume();
			return;
		}
		view.stop();
		let seqNum: number | undefined;
		if (start.kind === "seq") seqNum = start.seqNum;
		else if (start.kind === "last") seqNum = Math.max(view.first ?? 0, (view.tail ?? 0) - start.n);
		else seqNum = await view.atTime(start.ms);
		if (seqNum === undefined) return;
		const begin = view.first ?? 0;
		list.current?.reveal(Math.max(0, seqNum - begin), "start");
		setCursor(Math.min(Math.max(seqNum, begin), Math.max(begin, (view.tail ?? 1) - 1)));
	};

	// The address says where to be; our own writing of where somebody has scrolled to is no order.
	const wanted = at ?? "live";
	useEffect(() => {
		if (!ready || applied.current === wanted) return;
		applied.current = wanted;
		void place(parseStart(wanted)).then(() => {
			if (opened !== undefined) list.current?.reveal(opened - (view.first ?? 0), "nearest");
		});
	}, [ready, wanted, view]);
	useEffect(() => () => view.stop(), [view]);

	const note = (start: Start) => {
		const text = formatStart(start);
		applied.current = text;
		setQuery({ at: text }, { replace: true });
	};
	const go = (start: Start) => {
		applied.current = null;
		const text = formatStart(start);
		if (text === (at ?? "live")) {
			applied.current = text;
			void place(start);
		} else setQuery({ at: text, record: undefined });
	};

	const settle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
	useEffect(() => () => clearTimeout(settle.current), []);
	const onScrolled = (atEnd: boolean) => {
		if (!atEnd) leaveTail();
		clearTimeout(settle.current);
		settle.current = setTimeout(() => {
			const top = (view.first ?? 0) + (list.current?.top() ?? 0);
			if (view.following.kind === "off" || view.following.kind === "paused") note({ kind: "seq", seqNum: top });
		}, 250);
	};

	const open = (seqNum: number | undefined) => {
		if (seqNum !== undefined) {
			setCursor(seqNum);
			leaveTail();
			list.current?.reveal(seqNum - (view.first ?? 0), "nearest");
			const top = (view.first ?? 0) + (list.current?.top() ?? 0);
			if (at === null || at === "live") applied.current = formatStart({ kind: "seq", seqNum: top });
			setQuery({ record: seqNum, ...((at === null || at === "live") && { at: formatStart({ kind: "seq", seqNum: top }) }) }, { replace: opened !== undefined });
		} else {
			setQuery({ record: undefined }, { replace: true });
			list.current?.focus();
		}
	};

	const follow = () => {
		if (live) {
			view.pause();
			note({ kind: "seq", seqNum: (view.first ?? 0) + (list.current?.top() ?? 0) });
		} else {
			note({ kind: "live" });
			view.resume();
		}
	};

	const onKeyDown = (event: KeyboardEvent) => {
		if (!ready || total === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
		const lastRow = tail - 1;
		const now = cursor ?? (atTail ? lastRow : first + (list.current?.top() ?? 0));
		const page = list.current?.rows() ?? 10;
		const to: Record<string, number> = {
			ArrowDown: now + 1,
			j: now + 1,
			ArrowUp: now - 1,
			k: now - 1,
			PageDown: now + page,
			PageUp: now - page,
			Home: first,
			End: lastRow,
		};
		const target = to[event.key];
		if (target !== undefined) {
			event.preventDefault();
			const seqNum = Math.min(Math.max(target, first), lastRow);
			setCursor(seqNum);
			if (seqNum !== lastRow) leaveTail();
			list.current?.reveal(seqNum - first, "nearest");
			if (opened !== undefined) open(seqNum);
			else onScrolled(seqNum === lastRow);
		} else if (event.key === "Enter" && cursor !== undefined) {
			event.preventDefault();
			open(cursor);
		} else if (event.key === "Escape" && opened !== undefined) {
			open(undefined);
		}
	};

	const [sought, setSought] = useState("");
	return (
		<>
			<div class="toolbar records-bar">
				<StartForm start={parseStart(at)} view={view} onStart={go} />
				<Finder
					view={view}
					sought={sought}
					onSought={setSought}
					cursor={cursor}
					onFound={(seqNum) => {
						leaveTail();
						setCursor(seqNum);
						list.current?.reveal(seqNum - (view.first ?? 0), "center");
						note({ kind: "seq", seqNum: (view.first ?? 0) + (list.current?.top() ?? 0) });
					}}
				/>
			</div>
			<StatusLine view={view} live={live} onFollow={follow} />
			{view.error && <Failed error={view.error} retry={() => { view.error = undefined; void view.open(); }} />}
			{!ready && !view.error && !view.tailError && <Loading what="records" />}
			{ready && total === 0 && (
				<Empty icon="stream" title={view.closed ? "There is no record" : tail === 0 ? "There is no record yet" : "No record is left"}>
					<p>
						{view.closed
							? "The stream is closed: no record follows."
							: tail === 0
							? "What is appended shows up here at once."
							: `Its ${count(tail)} records were trimmed, or are older than the retention allows. What is appended next gets seq_num ${count(tail)}.`}
					</p>
					{!view.closed && allows("append", { basin, stream }) && <Link class="button primary" to={href({ page: "stream", basin, stream }, { tab: "append" })}>Append a record</Link>}
				</Empty>
			)}
			{ready && total > 0 && (
				<div class={opened !== undefined ? "records with-detail" : "records"}>
					<div class="grid-wrap">
						<VirtualList
							class="grid"
							role="grid"
							aria-label={`Records of ${stream}`}
							aria-rowcount={total + 1}
							aria-activedescendant={cursor !== undefined ? `record-${cursor}` : undefined}
							tabIndex={0}
							count={total}
							origin={first}
							rowHeight={narrow ? rowNarrow : rowWide}
							headHeight={narrow ? 0 : rowWide}
							head={
								<div class="grid-head" role="row" aria-rowindex={1}>
									<span role="columnheader" class="num">seq_num</span>
									<span role="columnheader">time ({offset()})</span>
									<span role="columnheader" class="headers">headers</span>
									<span role="columnheader">body</span>
									<span role="columnheader" class="num">size</span>
								</div>
							}
							stick={atTail}
							handle={list}
							onRange={(from, to) => view.show(first + from, first + to)}
							onScrolled={onScrolled}
							onKeyDown={onKeyDown}
							row={(i) => (
								<Row
									key={first + i}
									index={i}
									seqNum={first + i}
									record={view.store.get(first + i)}
									current={first + i === cursor}
									open={first + i === opened}
									sought={sought}
									onOpen={open}
								/>
							)}
						/>
					</div>
					{opened !== undefined && (
						<RecordDetail view={view} seqNum={opened} basin={basin} stream={stream} onGo={open} onClose={() => open(undefined)} />
					)}
				</div>
			)}
		</>
	);
}

function Row({
	index,
	seqNum,
	record,
	current,
	open,
	sought,
	onOpen,
}: {
	index: number;
	seqNum: number;
	record: Rec | undefined;
	current: boolean;
	open: boolean;
	sought: string;
	onOpen: (seqNum: number) => void;
}) {
	const command = record?.command;
	const classes = ["row-line", current && "current", open && "open", record === undefined && "absent"].filter(Boolean).join(" ");
	return (
		<div role="row" id={`record-${seqNum}`} aria-rowindex={index + 2} aria-selected={open} class={classes} onClick={() => onOpen(seqNum)}>
			<span role="gridcell" class="num seq">
				{count(seqNum)}
			</span>
			<span role="gridcell" class="time">
				{record === undefined ? null : Number.isNaN(record.at) ? (
					"out of range"
				) : (
					<>
						<span class="date">{localExact(record.at).slice(0, 11)}</span>
						{localClock(record.at)}
					</>
				)}
			</span>
			<span role="gridcell" class="headers">
				{command ? (
					<span class="tag command">{command.kind === "other" ? "command" : command.kind}</span>
				) : record && record.headers.length > 0 ? (
					<HeaderSummary record={record} />
				) : null}
			</span>
			<span role="gridcell" class="body">
				{record === undefined ? (
					<span class="quiet">…</span>
				) : command ? (
					<span class="quiet">{commandText(command)}</span>
				) : record.bodySize === 0 ? (
					<span class="quiet">empty</span>
				) : (
					<Marked text={record.preview} sought={sought} />
				)}
			</span>
			<span role="gridcell" class="num size">
				{record ? size(record.bodySize) : ""}
			</span>
		</div>
	);
}

function HeaderSummary({ record }: { record: Rec }) {
	const [head] = record.headers;
	if (!head) return null;
	const more = record.headers.length - 1;
	return (
		<span class="tag">
			<Marked text={roughText(head[0].subarray(0, 40))} sought="" />: <Marked text={roughText(head[1].subarray(0, 40))} sought="" />
			{more > 0 && ` +${more}`}
		</span>
	);
}

/** Text of a record in one line: line breaks and what cannot be seen as escapes, what is sought marked. */
function Marked({ text, sought }: { text: string; sought: string }) {
	return (
		<bdi>
			{pieces(text).map((piece, i) =>
				piece.unseen ? (
					<span key={i} class="escape">
						{piece.text}
					</span>
				) : sought === "" ? (
					piece.text
				) : (
					marks(piece.text, sought).map((part, k) => (part.hit ? <mark key={`${i}.${k}`}>{part.text}</mark> : part.text))
				),
			)}
		</bdi>
	);
}

function StatusLine({ view, live, onFollow }: { view: StreamView; live: boolean; onFollow: () => void }) {
	void view.revision.value;
	const { following, first, tail, rate } = view;
	const came = following.kind === "paused" ? Math.max(0, (tail ?? 0) - following.at) : 0;
	const text = view.closed
		? "Closed: no record follows"
		: following.kind === "live"
			? rate >= 0.5
				? `Live, ${short(Math.round(rate))} records/s`
				: "Live"
			: following.kind === "fast"
				? `Live, ${short(Math.round(rate))} records/s: faster than can be read. Pause to read; nothing is lost.`
				: following.kind === "waiting"
					? `Interrupted: ${following.error.message} Trying again…`
					: following.kind === "paused"
						? `Paused, ${count(came)} came meanwhile`
						: "Not following";
	const dot = following.kind === "live" || following.kind === "fast" ? "dot" : following.kind === "waiting" ? "dot bad" : "dot warn";
	return (
		<div class="status-line">
			{!view.closed && (
				<Button
					data-follow
					kind={live ? "plain" : "primary"}
					icon={live ? "pause" : "play"}
					onClick={onFollow}
				>
					{live ? "Pause" : following.kind === "paused" ? (came > 0 ? `Resume (+${short(came)})` : "Resume") : "Follow"}
				</Button>
			)}
			<span class="entry" role="status">
				{following.kind !== "off" && !view.closed && <span class={dot} />}
				<span>{text}</span>
			</span>
			<span class="grow" />
			{first !== undefined && tail !== undefined && tail > first && (
				<span class="quiet">
					{count(tail - first)} {tail - first === 1 ? "record" : "records"}, {count(first)} to {count(tail - 1)}
				</span>
			)}
		</div>
	);
}

type Kind = Start["kind"];

function StartForm({ start, view, onStart }: { start: Start; view: StreamView; onStart: (start: Start) => void }) {
	const [kind, setKind] = useState<Kind>(start.kind);
	const [n, setN] = useState(start.kind === "last" ? String(start.n) : "100");
	const [seqNum, setSeqNum] = useState(start.kind === "seq" ? String(start.seqNum) : "");
	const [utc, setUtc] = useState(false);
	const [ms, setMs] = useState(start.kind === "time" ? start.ms : Number.NaN);
	useEffect(() => {
		setKind(start.kind);
		if (start.kind === "seq") setSeqNum(String(start.seqNum));
		if (start.kind === "last") setN(String(start.n));
		if (start.kind === "time") setMs(start.ms);
	}, [formatStart(start)]);
	const chosen = (): Start | undefined => {
		if (kind === "live") return { kind };
		if (kind === "last") {
			const value = wholeNumber(n);
			return value === undefined ? undefined : { kind, n: value };
		}
		if (kind === "seq") {
			const value = wholeNumber(seqNum);
			return value === undefined ? undefined : { kind, seqNum: value };
		}
		return Number.isNaN(ms) || ms < 0 ? undefined : { kind, ms };
	};
	const ready = chosen();
	return (
		<form
			class="start"
			onSubmit={(e) => {
				e.preventDefault();
				if (ready) onStart(ready);
			}}
		>
			<Choice
				label="Read from"
				value={kind}
				options={[["live", "Live"], ["last", "Last"], ["seq", "Seq num"], ["time", "Time"]]}
				onValue={(next) => {
					setKind(next);
					if (next === "live") onStart({ kind: "live" });
					if (next === "time" && Number.isNaN(ms)) setMs(Math.floor((Number.isNaN(view.tailAt) ? Date.now() : view.tailAt) / 60_000) * 60_000);
					if (next === "seq" && seqNum === "") setSeqNum(String(view.first ?? 0));
				}}
			/>
			{kind === "last" && (
				<input aria-label="How many records" class="mono" inputMode="numeric" size={8} value={n} onInput={(e) => setN(e.currentTarget.value)} />
			)}
			{kind === "seq" && (
				<input aria-label="seq_num to read from" class="mono" inputMode="numeric" size={12} value={seqNum} onInput={(e) => setSeqNum(e.currentTarget.value)} />
			)}
			{kind === "time" && (
				<span class="joined">
					<Field label="Time to read from" inline>
						{(control) => (
							<input
								{...control}
								type="datetime-local"
								step="0.001"
								value={toInput(ms, utc)}
								onInput={(e) => {
									const at = fromInput(e.currentTarget.value, utc);
									if (!Number.isNaN(at)) setMs(at);
								}}
							/>
						)}
					</Field>
					<Choice label="Time zone" value={utc ? "utc" : "local"} options={[["local", "Local"], ["utc", "UTC"]]} onValue={(zone) => setUtc(zone === "utc")} />
				</span>
			)}
			{kind !== "live" && (
				<Button type="submit" disabled={ready === undefined}>
					Go
				</Button>
			)}
		</form>
	);
}

function Finder({
	view,
	sought,
	onSought,
	cursor,
	onFound,
}: {
	view: StreamView;
	sought: string;
	onSought: (text: string) => void;
	cursor: number | undefined;
	onFound: (seqNum: number) => void;
}) {
	const [found, setFound] = useState<{ text: string; all: number[]; of: number } | undefined>();
	const [round, setRound] = useState(0);
	// Records come and go while one searches: look again now and then.
	useEffect(() => {
		if (sought === "") return;
		const timer = setInterval(() => setRound((n) => n + 1), 1500);
		return () => clearInterval(timer);
	}, [sought]);
	useEffect(() => {
		if (sought === "") {
			setFound(undefined);
			return;
		}
		const abort = new AbortController();
		const timer = setTimeout(async () => {
			const records = view.store.sorted();
			const all = await find(records, sought, abort.signal);
			if (!abort.signal.aborted) setFound({ text: sought, all, of: records.length });
		}, 150);
		return () => {
			clearTimeout(timer);
			abort.abort();
		};
	}, [sought, round, view]);
	const step = (by: 1 | -1) => {
		const all = found?.all ?? [];
		if (all.length === 0) return;
		const at = cursor ?? (by > 0 ? -1 : Number.POSITIVE_INFINITY);
		const next = by > 0 ? (all.find((seqNum) => seqNum > at) ?? all[0]) : (all.findLast((seqNum) => seqNum < at) ?? all.at(-1));
		if (next !== undefined) onFound(next);
	};
	const place = found && cursor !== undefined ? found.all.indexOf(cursor) + 1 : 0;
	return (
		<div class="finder">
			<div class="search">
				<Icon name="search" />
				<input
					type="search"
					data-search
					aria-label="Find in the loaded records"
					placeholder="Find in the loaded records"
					autocomplete="off"
					spellcheck={false}
					value={sought}
					onInput={(e) => onSought(e.currentTarget.value)}
					onKeyDown={(e) => {
						if (e.key === "Enter") {
							e.preventDefault();
							step(e.shiftKey ? -1 : 1);
						} else if (e.key === "Escape") onSought("");
					}}
				/>
			</div>
			{sought !== "" && (
				<>
					<span class="quiet" role="status">
						{found?.text === sought
							? found.all.length === 0
								? `none of ${count(found.of)} loaded`
								: `${place > 0 ? `${count(place)} of ` : ""}${count(found.all.length)} in ${count(found.of)} loaded`
							: "…"}
					</span>
					<Button kind="ghost" icon="left" label="Previous match" disabled={!found?.all.length} onClick={() => step(-1)} />
					<Button kind="ghost" icon="right" label="Next match" disabled={!found?.all.length} onClick={() => step(1)} />
				</>
			)}
		</div>
	);
}
