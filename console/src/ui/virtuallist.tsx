/**
 * A list of any number of rows of one height, of which only those in sight are in the page.
 *
 * Browsers bound how tall an element may be. Beyond maxHeight the scroll bar is a scale: it shows and takes shares of the
 * whole, while wheel, keys and fingers move by pixels as everywhere.
 */
import type { ComponentChildren, HTMLAttributes } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";

const maxHeight = 4_000_000;

export type ListHandle = {
	/** Brings a row into sight. */
	reveal: (index: number, where: "start" | "center" | "nearest") => void;
	/** The first row in sight. */
	top: () => number;
	/** How many whole rows there is room for. */
	rows: () => number;
	focus: () => void;
};

export function VirtualList({
	count,
	origin,
	rowHeight,
	head,
	headHeight,
	row,
	stick,
	onRange,
	onScrolled,
	handle,
	...rest
}: {
	count: number;
	/** What the first row stands for: when it moves, what is in sight stays. */
	origin: number;
	rowHeight: number;
	/** Stands above the rows and stays in sight; null if there is none. */
	head: ComponentChildren;
	headHeight: number;
	row: (index: number) => ComponentChildren;
	/** Keeps the last row in sight as rows are added. */
	stick: boolean;
	/** Rows [from, to) are in sight. */
	onRange: (from: number, to: number) => void;
	/** Somebody has scrolled. */
	onScrolled: (atEnd: boolean) => void;
	handle: { current: ListHandle | null };
} & Omit<HTMLAttributes<HTMLDivElement>, "onScroll" | "onWheel">) {
	const box = useRef<HTMLDivElement>(null);
	const view = useRef({ top: 0, height: 0, real: 0, origin });
	const [, redraw] = useReducer((n: number) => n + 1, 0);
	const total = count * rowHeight;
	const spacer = Math.min(total, maxHeight);
	const latest = useRef({ rowHeight, headHeight, total, spacer, onRange, onScrolled });
	latest.current = { rowHeight, headHeight, total, spacer, onRange, onScrolled };

	const furthest = () => Math.max(0, latest.current.total - view.current.height);
	const realFurthest = () => Math.max(0, latest.current.spacer - view.current.height);

	/** Moves to a distance from the top of all rows, and the scroll bar with it. */
	const move = (top: number) => {
		const el = box.current;
		if (!el) return;
		const v = view.current;
		v.top = Math.min(Math.max(0, top), furthest());
		el.scrollTop = furthest() === 0 ? 0 : (v.top / furthest()) * realFurthest();
		v.real = el.scrollTop;
		redraw(0);
	};

	if (view.current.origin !== origin) {
		view.current.top = Math.max(0, view.current.top - (origin - view.current.origin) * rowHeight);
		view.current.origin = origin;
	}

	useLayoutEffect(() => {
		const el = box.current;
		if (!el) return;
		const measure = () => {
			view.current.height = el.clientHeight - latest.current.headHeight;
			move(view.current.top);
		};
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(el);
		// Wheels scroll the page's own way, which must not be in the way of a scale.
		const onWheel = (event: WheelEvent) => {
			if (latest.current.total <= maxHeight || event.ctrlKey) return;
			event.preventDefault();
			const unit = event.deltaMode === 1 ? latest.current.rowHeight : event.deltaMode === 2 ? view.current.height : 1;
			move(view.current.top + event.deltaY * unit);
			latest.current.onScrolled(view.current.top >= furthest() - 1);
		};
		el.addEventListener("wheel", onWheel, { passive: false });
		return () => {
			observer.disconnect();
			el.removeEventListener("wheel", onWheel);
		};
	}, []);

	useLayoutEffect(() => {
		move(stick ? Number.POSITIVE_INFINITY : view.current.top);
	}, [count, origin, rowHeight, headHeight, stick]);

	const resync = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
	useEffect(() => () => clearTimeout(resync.current), []);
	const onScroll = () => {
		const el = box.current;
		const v = view.current;
		if (!el || Math.abs(el.scrollTop - v.real) < 1) return; // our own doing
		const real = el.scrollTop;
		const by = real - v.real;
		v.real = real;
		if (latest.current.total <= maxHeight) v.top = real;
		else if (real <= 0) v.top = 0;
		else if (real >= realFurthest() - 1) v.top = furthest();
		else if (Math.abs(by) < v.height) {
			v.top = Math.min(Math.max(0, v.top + by), furthest());
			clearTimeout(resync.current);
			resync.current = setTimeout(() => move(v.top), 200);
		} else v.top = (real / realFurthest()) * furthest();
		latest.current.onScrolled(v.top >= furthest() - 1);
		redraw(0);
	};

	const { top, height } = view.current;
	const from = Math.min(Math.floor(top / rowHeight), count);
	const to = Math.min(count, Math.ceil((top + height) / rowHeight));
	useEffect(() => {
		if (height > 0) latest.current.onRange(from, to);
	}, [from, to, height, origin, count]);

	handle.current = {
		reveal: (index, where) => {
			const at = index * rowHeight;
			const now = view.current.top;
			if (where === "start") move(at);
			else if (where === "center") move(at - (view.current.height - rowHeight) / 2);
			else if (at < now) move(at);
			else if (at + rowHeight > now + view.current.height) move(at + rowHeight - view.current.height);
		},
		top: () => Math.floor(view.current.top / rowHeight),
		rows: () => Math.max(1, Math.floor(view.current.height / rowHeight)),
		focus: () => box.current?.focus(),
	};

	const rows: ComponentChildren[] = [];
	for (let i = from; i < to; i++) rows.push(row(i));
	return (
		<div {...rest} ref={box} onScroll={onScroll}>
			{head}
			<div role="presentation" style={{ height: `${spacer}px` }}>
				<div role="presentation" class="in-sight" style={{ top: `${headHeight}px`, height: `${Math.min(height, total)}px` }}>
					<div role="presentation" style={{ transform: `translateY(${from * rowHeight - top}px)` }}>
						{rows}
					</div>
				</div>
			</div>
		</div>
	);
}
