/**
 * What the page knows of one stream: where it begins and ends, the records near to what is looked at, and how it follows.
 * Records have consecutive seq_nums, so a row of the list is a seq_num, and only rows in sight need to be here.
 */
import { signal } from "@preact/signals";
import { RangeNotSatisfiableError, type ReadFrom, type S2Stream } from "@s2-dev/streamstore";
import { cancelled, type Failure, failure } from "./client";
import type { Tail } from "./byhand";
import { fromSDK, Rec } from "./record";
import { RecordStore } from "./recordstore";

export type Following =
	| { kind: "off" }
	/** Records come in as they are appended. */
	| { kind: "live" }
	/** They come faster than anybody reads: the tail is looked at now and then, and rows in sight are loaded. */
	| { kind: "fast" }
	/** The connection is gone; another is tried at a time in ms. */
	| { kind: "waiting"; error: Failure }
	| { kind: "paused"; at: number }
	/** No record follows, ever. */
	| { kind: "closed" };

const readMax = 1000;
/** Records in a quarter of a second from which on a session is left for looking at the tail, and below which it is taken up again. */
const fastAbove = 600;
const slowBelow = 200;
const lookEvery = 250;

type Known = { generation: number; tail: number | undefined; tailAt: number };

export class StreamView {
	readonly store = new RecordStore();
	/** The first record that is kept; undefined while it is not known. */
	first: number | undefined;
	/** The seq_num that the next record gets; undefined while it is not known. */
	tail: number | undefined;
	/** When the last record was appended, in ms; NaN when there is none. */
	tailAt = Number.NaN;
	/** Whether the stream is closed: no record follows the tail. */
	closed = false;
	following: Following = { kind: "off" };
	/** Why records cannot be read; undefined while they can. */
	error: Failure | undefined;
	/** Why the tail cannot be told; undefined while it can. */
	tailError: Failure | undefined;
	/** Records appended in the last second or so, while following. */
	rate = 0;
	/** Counts up when the stream turns out to be another one of the same name. */
	generation = 0;

	private want: { from: number; to: number } = { from: 0, to: 0 };
	private loading: AbortController | undefined;
	private ending = new AbortController();
	private follow: AbortController | undefined;
	private hidden: ReturnType<typeof setTimeout> | undefined;
	private told = false;

	/** Counts up, at most once a frame, when something of the above is different: who shows it reads this too. */
	readonly revision = signal(0);

	/** ask asks for the tail. */
	constructor(
		private readonly stream: S2Stream,
		private readonly ask: (signal: AbortSignal) => Promise<Tail>,
	) {}

	/** Finds out where the stream begins and ends. */
	async open(): Promise<void> {
		await this.look();
		await this.findFirst();
	}

	close(): void {
		this.ending.abort();
		this.loading?.abort();
		this.follow?.abort();
		clearTimeout(this.hidden);
	}

	/** Asks for the tail. */
	async look(): Promise<void> {
		const known = this.known();
		try {
			const { seqNum, at, closed } = await this.ask(this.ending.signal);
			if (known.generation !== this.generation) return;
			const back = this.tailError !== undefined && gone(this.tailError);
			this.tailError = undefined;
			if (closed !== this.closed) {
				this.closed = closed;
				this.tell();
			}
			this.atTail(seqNum, at, known);
			if (back) void this.findFirst();
		} catch (e) {
			if (this.ending.signal.aborted || cancelled(e) || known.generation !== this.generation) return;
			this.tailError = failure(e);
			if (gone(this.tailError) && this.tail !== undefined) {
				// A stream that comes back under this name is another one.
				this.forget();
				this.tail = undefined;
				this.tailAt = Number.NaN;
			}
			this.tell();
		}
	}

	/** Asks for the first record that is kept. */
	async findFirst(): Promise<void> {
		const { generation } = this;
		const records = await this.read({ seqNum: 0 }, 1);
		if (records === undefined || generation !== this.generation) return;
		this.first = records[0]?.seqNum ?? this.tail ?? 0;
		this.store.dropBelow(this.first);
		this.tell();
	}

	/** The seq_num of the first record that is not older than a time in ms; the tail if all are. */
	async atTime(ms: number): Promise<number | undefined> {
		const records = await this.read({ timestamp: Math.max(0, ms) }, 1);
		if (records === undefined) return undefined;
		return records[0]?.seqNum ?? this.tail;
	}

	/** Reads one record; undefined if it is not there any more, or cannot be read. */
	async one(seqNum: number): Promise<Rec | undefined> {
		const held = this.store.get(seqNum);
		if (held?.whole) return held;
		const records = await this.read({ seqNum }, 1);
		return records?.find((record) => record.seqNum === seqNum);
	}

	/** Says which rows are in sight; what is missing of them and around them is loaded. */
	show(from: number, to: number): void {
		this.want = { from, to };
		void this.fill();
	}

	/** Follows from the tail on. */
	resume(): void {
		this.follow?.abort();
		const follow = new AbortController();
		this.follow = follow;
		this.following = { kind: "live" };
		this.tell();
		void this.run(follow.signal);
	}

	/** Stops to follow; what comes meanwhile is counted. */
	pause(): void {
		this.follow?.abort();
		if (this.following.kind === "off") return;
		this.following = { kind: "paused", at: this.tail ?? 0 };
		this.rate = 0;
		this.tell();
	}

	/** Stops to follow. */
	stop(): void {
		this.follow?.abort();
		this.following = { kind: "off" };
		this.rate = 0;
		this.tell();
	}

	/** A page that nobody sees holds no connection: browsers have few for a host. It catches up when it is seen again. */
	seen(visible: boolean): void {
		clearTimeout(this.hidden);
		const on = this.following.kind === "live" || this.following.kind === "fast" || this.following.kind === "waiting";
		if (!visible && on) {
			this.hidden = setTimeout(() => this.follow?.abort(), 10_000);
		} else if (visible && on && this.follow?.signal.aborted) {
			this.resume();
		}
	}

	private async run(signal: AbortSignal): Promise<void> {
		let failures = 0;
		while (!signal.aborted) {
			try {
				await this.look();
				if (signal.aborted) return; // Somebody has paused, stopped or begun to follow anew meanwhile.
				if (this.tailError) throw this.tailError;
				failures = 0;
				if (this.closed) {
					this.following = { kind: "closed" };
					this.rate = 0;
					this.tell();
					return;
				}
				this.following = { kind: "live" };
				this.tell();
				if ((await this.session(signal)) === "fast") await this.looking(signal);
				else await pause(lookEvery, signal); // It ended by itself: the look at the tail says why.
			} catch (e) {
				if (signal.aborted) return;
				const error = isFailure(e) ? e : failure(e);
				if (final(error)) {
					this.error = error;
					this.following = { kind: "off" };
					this.tell();
					return;
				}
				failures++;
				this.following = { kind: "waiting", error };
				this.rate = 0;
				this.tell();
				await pause(Math.min(5000, 250 * 2 ** Math.min(failures, 5)), signal);
			}
		}
	}

	/** Takes records as they come, until they come too fast; an error ends it too. */
	private async session(signal: AbortSignal): Promise<"fast" | "ended"> {
		const known = this.known();
		const session = await this.stream.readSession({ start: { from: { seqNum: this.tail ?? 0 }, clamp: true } }, { as: "bytes", signal });
		const reader = session.getReader();
		const stop = () => void reader.cancel().catch(() => {});
		signal.addEventListener("abort", stop);
		let batch: Rec[] = [];
		let flushing = false;
		const flush = () => {
			flushing = false;
			const last = batch.at(-1);
			if (!last || signal.aborted || known.generation !== this.generation) return;
			this.store.put(batch, last.seqNum);
			const trimmed = batch.some((record) => record.command?.kind === "trim");
			batch = [];
			if (trimmed) void this.findFirst();
			this.atTail(last.seqNum + 1, last.at, known);
		};
		let counted = 0;
		let since = performance.now();
		let slice = since;
		const pace = setInterval(() => {
			if (performance.now() - since > 1000) {
				this.setRate(counted / ((performance.now() - since) / 1000));
				counted = 0;
				since = performance.now();
			}
		}, 500);
		try {
			for (;;) {
				const { done, value } = await reader.read();
				if (done || signal.aborted) return "ended";
				batch.push(fromSDK(value).kept());
				counted++;
				if (!flushing) {
					flushing = true;
					setTimeout(flush, 16);
				}
				const now = performance.now();
				if (counted >= fastAbove) {
					if (now - since < lookEvery) return "fast";
					this.setRate(counted / ((now - since) / 1000));
					counted = 0;
					since = now;
				}
				if (now - slice > 8) {
					await new Promise((go) => setTimeout(go)); // What is read comes without a break for the page otherwise.
					slice = performance.now();
				}
			}
		} finally {
			clearInterval(pace);
			signal.removeEventListener("abort", stop);
			flush();
			stop();
		}
	}

	/** Looks at the tail now and then, while records come faster than anybody reads. */
	private async looking(signal: AbortSignal): Promise<void> {
		this.following = { kind: "fast" };
		let slow = 0;
		while (!signal.aborted && slow < 8) {
			const before = this.tail ?? 0;
			const at = performance.now();
			await pause(lookEvery, signal);
			await this.look();
			if (signal.aborted) return;
			if (this.tailError) throw this.tailError;
			const came = (this.tail ?? 0) - before;
			this.setRate(came / ((performance.now() - at) / 1000));
			slow = came < slowBelow ? slow + 1 : 0;
		}
	}

	private setRate(rate: number): void {
		this.rate = rate;
		this.tell();
	}

	/** What is known when something is asked for: the answer tells whether the stream is still the same. */
	private known(): Known {
		return { generation: this.generation, tail: this.tail, tailAt: this.tailAt };
	}

	/** Takes the tail of an answer; known is what was known when it was asked for. */
	private atTail(seqNum: number, at: number, known: Known): void {
		if (known.generation !== this.generation) return; // It may be of the stream before.
		// Tails only grow, and a record keeps its time: else this is another stream of the same name.
		const other = known.tail !== undefined && (seqNum < known.tail || (seqNum === known.tail && differ(at, known.tailAt)));
		if (!other && this.tail !== undefined && seqNum < this.tail) return; // A later answer came before this one.
		if (this.tail === seqNum && Object.is(this.tailAt, at)) return;
		const grown = this.tail !== undefined && this.first === this.tail && seqNum > this.tail;
		if (other) this.forget();
		this.tail = seqNum;
		this.tailAt = seqNum === 0 ? Number.NaN : at;
		if (grown) this.first = undefined;
		if (other || grown) void this.findFirst();
		this.tell();
	}

	/** Forgets the records: the stream is another one. What is being read is of the old one. */
	private forget(): void {
		this.loading?.abort();
		this.loading = undefined;
		this.store.clear();
		this.first = undefined;
		this.generation++;
	}

	/** Loads what is missing in sight, then around it, one read at a time. */
	private async fill(): Promise<void> {
		const { from, to } = this.want;
		if (this.first === undefined || this.tail === undefined) return;
		// Of large records only those in sight.
		const page = this.heavy ? 0 : Math.max(to - from, 20);
		const low = Math.max(this.first, from - page);
		const high = Math.min(this.tail, to + page);
		const next = this.store.missing(Math.max(from, this.first), Math.min(to, this.tail)) ?? this.store.missing(low, high);
		if (next === undefined) return;
		if (this.loading) {
			// What is being loaded may be far away by now.
			if (next >= this.asked.from && next < this.asked.to) return;
			this.loading.abort();
		}
		const loading = new AbortController();
		this.loading = loading;
		const count = Math.min(readMax, Math.max(high - next, 1));
		this.asked = { from: next, to: next + count };
		await pause(30, loading.signal); // Scrolling goes on.
		const records = loading.signal.aborted ? undefined : await this.read({ seqNum: next }, count, loading.signal);
		if (this.loading !== loading) return;
		this.loading = undefined;
		if (records === undefined) return;
		const [head] = records;
		if (head && head.seqNum > next && head.seqNum > this.first) {
			this.first = head.seqNum; // Trimmed, or expired, meanwhile.
			this.store.dropBelow(this.first);
		}
		if (!head) {
			await this.look();
			return;
		}
		this.heavy = records.reduce((sum, record) => sum + record.bodySize, 0) / records.length > 16 << 10;
		this.store.put(records.map((record) => record.kept()), Math.floor((this.want.from + this.want.to) / 2));
		this.tell();
		void this.fill();
	}

	private asked = { from: 0, to: 0 };
	private heavy = false;

	/** Reads once. Undefined if it failed, which is told; empty if there is nothing at or after the start. */
	private async read(from: ReadFrom, count: number, signal?: AbortSignal): Promise<Rec[] | undefined> {
		const known = this.known();
		const signals = signal ? AbortSignal.any([signal, this.ending.signal]) : this.ending.signal;
		try {
			const batch = await this.stream.read({ start: { from }, stop: { limits: { count } } }, { as: "bytes", signal: signals });
			if (this.error) this.error = undefined;
			return batch.records.map(fromSDK);
		} catch (e) {
			if (signals.aborted || cancelled(e)) return undefined;
			if (e instanceof RangeNotSatisfiableError) {
				if (e.tail) this.atTail(e.tail.seqNum, e.tail.timestamp.getTime(), known);
				return [];
			}
			this.error = failure(e);
			this.tell();
			return undefined;
		}
	}

	private tell(): void {
		if (this.told || this.ending.signal.aborted) return;
		this.told = true;
		const go = () => {
			this.told = false;
			if (!this.ending.signal.aborted) this.revision.value++;
		};
		if (typeof requestAnimationFrame === "function" && document.visibilityState === "visible") requestAnimationFrame(go);
		else setTimeout(go, 50);
	}
}

/** Whether there is no stream of this name. */
export function gone(error: Failure): boolean {
	return /_not_found$|_pending$/.test(error.code);
}

/** Whether to try again is of no use. */
function final(error: Failure): boolean {
	return ["authn", "permission_denied", "bad_header", "decryption_failed"].includes(error.code) || gone(error);
}

/** Whether two times are known and not the same. */
function differ(a: number, b: number): boolean {
	return !Number.isNaN(a) && !Number.isNaN(b) && a !== b;
}

function isFailure(e: unknown): e is Failure {
	return typeof e === "object" && e !== null && "hint" in e && "code" in e;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(done, ms);
		signal.addEventListener("abort", done, { once: true });
		function done() {
			clearTimeout(timer);
			signal.removeEventListener("abort", done);
			resolve();
		}
	});
}

