/** Who uses the console, and what that lets them do. */
import { computed, signal } from "@preact/signals";

export type ResourceSet = { exact: string } | { prefix: string } | null;
export type ReadWrite = { read?: boolean; write?: boolean } | null;
export type Scope = {
	basins?: ResourceSet;
	streams?: ResourceSet;
	access_tokens?: ResourceSet;
	op_groups?: { account?: ReadWrite; basin?: ReadWrite; stream?: ReadWrite } | null;
	ops?: string[] | null;
};

/** The answer of /dashboard/session. */
export type Session = {
	version: string;
	durability: string;
	checked: boolean;
	nats_url: string;
	token: { id: string; expires_at: string | null; auto_prefix_streams: boolean; scope: Scope };
};

/** Which operations each group enables; the table of docs/access-control.md. */
export const operations = {
	account: {
		read: ["list-basins", "list-access-tokens", "account-metrics", "list-locations", "get-default-location"],
		write: ["create-basin", "reconfigure-basin", "delete-basin", "issue-access-token", "revoke-access-token", "set-default-location"],
	},
	basin: {
		read: ["get-basin-config", "list-streams", "basin-metrics"],
		write: ["create-stream", "reconfigure-stream", "delete-stream"],
	},
	stream: {
		read: ["get-stream-config", "check-tail", "read", "stream-metrics"],
		write: ["append", "fence", "trim"],
	},
} as const;

export type Group = keyof typeof operations;
export type Operation = (typeof operations)[Group]["read" | "write"][number];

export function matches(set: ResourceSet | undefined, name: string): boolean {
	if (!set) return false;
	if ("exact" in set) return set.exact !== "" && set.exact === name;
	return name.startsWith(set.prefix);
}

/** Whether a scope allows an operation, and on these names where they are given. */
export function permits(scope: Scope, operation: Operation, names: { basin?: string; stream?: string; token?: string } = {}): boolean {
	if (!scope.ops?.includes(operation)) {
		const group = (Object.keys(operations) as Group[]).find((group) => has(group, "read", operation) || has(group, "write", operation));
		const half = group && has(group, "read", operation) ? "read" : "write";
		if (!group || !scope.op_groups?.[group]?.[half]) return false;
	}
	if (names.basin !== undefined && !matches(scope.basins, names.basin)) return false;
	if (names.stream !== undefined && !matches(scope.streams, names.stream)) return false;
	return names.token === undefined || matches(scope.access_tokens, names.token);
}

function has(group: Group, half: "read" | "write", operation: Operation): boolean {
	return (operations[group][half] as readonly string[]).includes(operation);
}

export type State =
	| { kind: "starting" }
	| { kind: "asking"; reason?: string }
	| { kind: "ready"; session: Session };

export const state = signal<State>({ kind: "starting" });

/** Whether the broker answers; what is shown may be old while it does not. */
export const reachable = signal(true);

/** Counts up when what is shown should be asked for again: the broker is back, or somebody else has signed in. */
export const epoch = signal(0);

export const session = computed(() => (state.value.kind === "ready" ? state.value.session : null));

export function allows(operation: Operation, names: { basin?: string; stream?: string; token?: string } = {}): boolean {
	const scope = session.value?.token.scope;
	return scope !== undefined && permits(scope, operation, names);
}

const key = "weir.access-token";

/** The access token of this tab; "" if there is none. */
export function token(): string {
	try {
		return sessionStorage.getItem(key) ?? "";
	} catch {
		return held;
	}
}

let held = ""; // where the browser keeps nothing for a page

function keep(secret: string): void {
	held = secret;
	try {
		if (secret === "") sessionStorage.removeItem(key);
		else sessionStorage.setItem(key, secret);
	} catch {
		// The page remembers it.
	}
}

const refused = "The broker does not accept this access token: it is unknown, revoked or expired.";

/** Asks the broker who uses it, with the token at hand. */
export async function start(): Promise<void> {
	const secret = token();
	try {
		const answer = await ask(secret);
		if (answer === null) {
			keep("");
			state.value = secret === "" ? { kind: "asking" } : { kind: "asking", reason: refused };
			return;
		}
		state.value = { kind: "ready", session: answer };
		epoch.value++;
	} catch {
		lost();
	}
}

/** Tries an access token; the answer says why it does not do, undefined if it does. */
export async function signIn(secret: string): Promise<string | undefined> {
	let answer: Session | null;
	try {
		answer = await ask(secret);
	} catch {
		return "The broker does not answer.";
	}
	if (answer === null) return refused;
	keep(secret);
	state.value = { kind: "ready", session: answer };
	epoch.value++;
	return undefined;
}

export function signOut(): void {
	keep("");
	state.value = { kind: "asking" };
}

/** A request was refused with authn: the token is no longer good, or the broker has begun to check. */
export async function unauthorized(): Promise<void> {
	if (state.value.kind !== "ready") return;
	const id = state.value.session.token.id;
	const had = token() !== "";
	keep("");
	state.value = {
		kind: "asking",
		reason: had
			? `The access token “${id}” has been revoked or has expired. What you were looking at is still here once you sign in again.`
			: "The broker asks for an access token now.",
	};
}

/** Headers that carry a token; none for "". */
export function bearer(secret = token()): Record<string, string> {
	return secret === "" ? {} : { authorization: `Bearer ${secret}` };
}

async function ask(secret: string): Promise<Session | null> {
	const answer = await fetch("/dashboard/session", { headers: bearer(secret), cache: "no-store" });
	if (answer.status === 401) return null;
	if (!answer.ok) throw new Error(`status ${answer.status}`);
	return (await answer.json()) as Session;
}

let probing = false;

/** A request got no answer: asks for signs of life until there is one. */
export function lost(): void {
	reachable.value = false;
	if (probing) return;
	probing = true;
	const again = async () => {
		try {
			const answer = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(5000) });
			if (answer.ok) {
				probing = false;
				reachable.value = true;
				await start();
				return;
			}
		} catch {
			// Still not there.
		}
		setTimeout(again, 1000);
	};
	setTimeout(again, 500);
}
