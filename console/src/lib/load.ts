/** Loading of what a view shows. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { cancelled, type Failure, failure } from "./client";
import { epoch } from "./session";

export type Loaded<T> = {
	/** What came last; it stays while something newer is asked for, and when that fails. */
	data: T | undefined;
	error: Failure | undefined;
	loading: boolean;
	reload: () => void;
};

/**
 * Calls get when one of deps has changed, when the broker is back and on reload. What an older call brings is dropped; what
 * was loaded for other deps is not shown under these.
 */
export function useLoad<T>(get: (signal: AbortSignal) => Promise<T>, deps: ReadonlyArray<unknown>): Loaded<T> {
	const [result, setResult] = useState<{ key: string; data?: T; error?: Failure; loading: boolean }>({ key: "", loading: true });
	const [round, setRound] = useState(0);
	const key = JSON.stringify(deps);
	const latest = useRef(get);
	latest.current = get;
	const era = epoch.value;
	useEffect(() => {
		const abort = new AbortController();
		setResult((was) => ({ ...(was.key === key ? was : { key }), loading: true }));
		latest.current(abort.signal).then(
			(data) => {
				if (!abort.signal.aborted) setResult({ key, data, loading: false });
			},
			(error: unknown) => {
				if (abort.signal.aborted || cancelled(error)) return;
				const told = failure(error);
				setResult((was) => ({ key, ...(was.key === key && was.data !== undefined ? { data: was.data } : {}), error: told, loading: false }));
			},
		);
		return () => abort.abort();
	}, [key, round, era]);
	const reload = useCallback(() => setRound((n) => n + 1), []);
	const mine = result.key === key;
	return { data: mine ? result.data : undefined, error: mine ? result.error : undefined, loading: !mine || result.loading, reload };
}

/** The value as it was when it last stood still for ms. */
export function useSettled<T>(value: T, ms: number): T {
	const [settled, setSettled] = useState(value);
	useEffect(() => {
		const timer = setTimeout(() => setSettled(value), ms);
		return () => clearTimeout(timer);
	}, [value, ms]);
	return settled;
}

/** An action that runs once at a time. */
export function useAction<A extends unknown[]>(act: (...args: A) => Promise<void>): {
	run: (...args: A) => void;
	busy: boolean;
	error: Failure | undefined;
	clear: () => void;
} {
	const [busy, setBusy] = useState(false);
	const [error, setError] = useState<Failure | undefined>();
	const running = useRef(false);
	const run = (...args: A) => {
		if (running.current) return;
		running.current = true;
		setBusy(true);
		setError(undefined);
		act(...args)
			.catch((e: unknown) => setError(failure(e)))
			.finally(() => {
				running.current = false;
				setBusy(false);
			});
	};
	return { run, busy, error, clear: () => setError(undefined) };
}
