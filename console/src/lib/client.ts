/** S2's SDK, pointed at the broker that served the page. */
import {
	FencingTokenMismatchError,
	RangeNotSatisfiableError,
	S2,
	type S2Basin,
	S2Error,
	type S2Stream,
	SeqNumMismatchError,
} from "@s2-dev/streamstore";
import { lost, token, unauthorized } from "./session";

let made: { secret: string; s2: S2 } | undefined;

/** The client for the token at hand. It tries nothing again by itself: the page says what happens. */
export function s2(): S2 {
	const secret = token();
	if (made?.secret !== secret) {
		const here = location.origin;
		made = {
			secret,
			s2: new S2({ accessToken: secret || "none", endpoints: { account: here, basin: here }, retry: { maxAttempts: 1 } }),
		};
	}
	return made.s2;
}

export function basin(name: string): S2Basin {
	return s2().basin(name);
}

/** A stream; key is the encryption key in Base64 for an encrypted one. */
export function stream(basinName: string, name: string, key?: string): S2Stream {
	const plain = basin(basinName).stream(name, { forceTransport: "fetch" });
	return key ? plain.withEncryptionKey(key) : plain;
}

/** A failure as people are told it. */
export type Failure = {
	/** The API's own words. */
	message: string;
	/** The API's code; "" if it has none. */
	code: string;
	/** The HTTP status; 0 if there was no answer. */
	status: number;
	/** What to try; "" if there is nothing to say. */
	hint: string;
};

const hints: Record<string, string> = {
	authn: "Sign in with another access token.",
	permission_denied: "Your access token does not allow this. Ask whoever issued it for a wider one.",
	basin_not_found: "It may have been deleted meanwhile. Look for it in the list of basins.",
	stream_not_found: "It may have been deleted meanwhile, or have another name: names are taken byte by byte.",
	basin_deletion_pending: "The basin is being deleted. Its name is free again when that is over.",
	stream_closed: "The stream is closed: it takes no record any more.",
	stream_deletion_pending: "The stream is being deleted. Its name is free again when that is over.",
	resource_already_exists: "Choose another name, or edit the one that exists.",
	transaction_conflict: "Somebody changed it at the same time. Try again.",
	rate_limited: "The broker has as much to do as it takes. Try again in a moment.",
	server_draining: "The broker is stopping. Try again when it is back.",
	request_timeout: "The broker did not answer in time. The operation may have happened: look before you repeat it.",
	unavailable: "Try again in a moment.",
	storage: "The broker's store failed. Its log and the Broker page tell more.",
	other: "The broker's log has the details.",
	decryption_failed: "The key is another one than the record was appended with. Enter the right key.",
	bad_header: "",
	seq_num_mismatch: "Somebody appended meanwhile. Look at the tail and try again with its seq_num.",
	fencing_token_mismatch: "Another writer holds the stream. Give the token in force, or fence the stream anew.",
	out_of_range: "The position is at or beyond the tail: there is no record there yet.",
	unreachable: "The broker does not answer. The page goes on by itself when it is back.",
};

/** The codes of failures that had no effect and never will have; docs/http-api.md, Failures. */
const clean = new Set([
	"bad_path", "bad_query", "bad_header", "bad_json", "bad_proto", "bad_frame", "authn", "permission_denied", "invalid", "basin_not_found",
	"stream_not_found", "access_token_not_found", "resource_already_exists", "basin_deletion_pending", "stream_deletion_pending", "producer_fenced",
	"producer_gap", "stream_closed", "writer_seq_conflict", "transaction_conflict", "rate_limited", "server_draining", "not_implemented", "seq_num_mismatch", "fencing_token_mismatch",
]);

/** Whether a failure leaves open what it did: there was no answer, or one that does not say. */
export function uncertain(failure: Failure): boolean {
	return !clean.has(failure.code);
}

/** Reads any error, and takes note where it says something about the broker or the token. */
export function failure(error: unknown): Failure {
	const told = describe(error);
	if (told.code === "authn") void unauthorized();
	if (told.code === "unreachable") lost();
	return told;
}

/** Whether the error only says that a request was given up. */
export function cancelled(error: unknown): boolean {
	return (
		(error instanceof Error && error.name === "AbortError") ||
		(error instanceof S2Error && error.status === 499 && error.origin === "sdk")
	);
}

/** Reads any error. */
export function describe(error: unknown): Failure {
	if (error instanceof SeqNumMismatchError) {
		return make("seq_num_mismatch", 412, `match_seq_num does not hold: the next seq_num is ${error.expectedSeqNum}`);
	}
	if (error instanceof FencingTokenMismatchError) {
		const token = error.expectedFencingToken;
		return make("fencing_token_mismatch", 412, token === "" ? "The stream has no fencing token." : `The fencing token in force is “${token}”.`);
	}
	if (error instanceof RangeNotSatisfiableError) {
		const tail = error.tail ? `; the tail is ${error.tail.seqNum}` : "";
		return make("out_of_range", 416, `There is no record at that position${tail}.`);
	}
	if (error instanceof S2Error) {
		if (error.origin === "sdk" && error.status === 502) return make("unreachable", 0, "The broker does not answer.");
		const inner = embedded(error.message);
		if (inner) return make(inner.code, error.status === 503 ? 0 : error.status, inner.message);
		return make(error.code ?? (error.status === 401 ? "authn" : ""), error.status, error.message);
	}
	if (error instanceof TypeError && /fetch|network|load/i.test(error.message)) {
		return make("unreachable", 0, "The broker does not answer.");
	}
	return make("", 0, error instanceof Error ? error.message : String(error));
}

function make(code: string, status: number, message: string): Failure {
	return { code, status, message, hint: hints[code] ?? "" };
}

/** The error event of a session: the SDK hands on its JSON as the message. */
function embedded(message: string): { code: string; message: string } | null {
	if (!message.startsWith("{")) return null;
	try {
		const body = JSON.parse(message) as { code?: unknown; message?: unknown };
		if (typeof body.code === "string") return { code: body.code, message: String(body.message ?? body.code) };
	} catch {
		// Words that begin with a brace.
	}
	return null;
}
