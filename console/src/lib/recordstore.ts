/** The records that the page holds, by seq_num: as many as it may, those near to what is looked at. */
import type { Rec } from "./record";

export type Bounds = { records: number; bytes: number };

/** What a page holds at most, so that a million records scrolled by leave no more than this. */
export const bounds: Bounds = { records: 20_000, bytes: 48 << 20 };

export class RecordStore {
	private readonly held = new Map<number, Rec>();
	private size = 0;

	constructor(private readonly max: Bounds = bounds) {}

	get(seqNum: number): Rec | undefined {
		return this.held.get(seqNum);
	}

	get count(): number {
		return this.held.size;
	}

	get bytes(): number {
		return this.size;
	}

	/** All that is held, in the order of their seq_nums. */
	sorted(): Rec[] {
		return [...this.held.values()].sort((a, b) => a.seqNum - b.seqNum);
	}

	/** Takes records; when that is too many, those farthest from the seq_num around go. */
	put(records: Iterable<Rec>, around: number): void {
		for (const record of records) {
			const old = this.held.get(record.seqNum);
			if (old) this.size -= old.weight;
			this.held.set(record.seqNum, record);
			this.size += record.weight;
		}
		if (this.held.size > this.max.records || this.size > this.max.bytes) this.evict(around);
	}

	/** The first seq_num of [from, to) that is not held; undefined if all are. */
	missing(from: number, to: number): number | undefined {
		for (let seqNum = from; seqNum < to; seqNum++) {
			if (!this.held.has(seqNum)) return seqNum;
		}
		return undefined;
	}

	/** Forgets what is below a seq_num. */
	dropBelow(seqNum: number): void {
		for (const [at, record] of this.held) {
			if (at < seqNum) this.drop(at, record);
		}
	}

	clear(): void {
		this.held.clear();
		this.size = 0;
	}

	private drop(at: number, record: Rec): void {
		this.held.delete(at);
		this.size -= record.weight;
	}

	/** Down to three quarters, so that it is not done again at once. */
	private evict(around: number): void {
		let reach = Math.floor((this.max.records * 3) / 8);
		for (;;) {
			for (const [at, record] of this.held) {
				if (Math.abs(at - around) > reach) this.drop(at, record);
			}
			if (this.size <= this.max.bytes * 0.75 || reach < 1) return;
			reach = Math.floor(reach / 2);
		}
	}
}
