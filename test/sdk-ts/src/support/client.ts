/** Clients as the SDK's documentation makes them, and names that no other test uses. */
import {
	AppendInput,
	AppendRecord,
	type ReadRecord,
	type RetryConfig,
	S2,
	type S2Basin,
	type S2ClientOptions,
	S2Environment,
	S2Error,
	type S2Stream,
} from "@s2-dev/streamstore";
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

/** Tests that expect an error do not want it tried again. */
export const once: RetryConfig = { maxAttempts: 1 };

/** How long a suite may take, all its tests together, in ms: far more than it needs. */
export const limit = { timeout: 240_000 };

/** The SDK gives up an ack after 5 s by itself; a machine that has much else to do may take longer. */
export const unhurried = { requestTimeoutMillis: 120_000, connectionTimeoutMillis: 120_000 };

/** A client for S2_ACCOUNT_ENDPOINT and S2_BASIN_ENDPOINT. */
export function connect(options: Partial<S2ClientOptions> = {}): S2 {
	return new S2({ accessToken: "ignored", ...S2Environment.parse(), ...unhurried, ...options });
}

/** The address of the API for requests without the SDK. */
export function endpoint(): string {
	const address = process.env["S2_BASIN_ENDPOINT"];
	assert.ok(address, "S2_BASIN_ENDPOINT is not set: run the suite with make test-sdk");
	return address;
}

export function uniqueName(prefix: string): string {
	return `${prefix}-${randomBytes(6).toString("hex")}`;
}

/** Makes a basin that creates no streams by itself. */
export async function newBasin(s2: S2, prefix = "sdk"): Promise<S2Basin> {
	const name = uniqueName(prefix);
	await s2.basins.create({ basin: name });
	return s2.basin(name);
}

/** Makes a stream in a basin of its own. */
export async function newStream(s2: S2, name = "stream"): Promise<S2Stream> {
	const basin = await newBasin(s2);
	await basin.streams.create({ stream: name });
	return basin.stream(name);
}

/** An input whose records have these bodies. */
export function texts(...bodies: string[]): AppendInput {
	return AppendInput.create(bodies.map((body) => AppendRecord.string({ body })));
}

/** Bodies "from" to "to - 1". */
export function numbered(from: number, to: number): AppendInput {
	return texts(...Array.from({ length: to - from }, (_, i) => String(from + i)));
}

export function bodies(records: ReadonlyArray<ReadRecord>): string[] {
	return records.map((record) => record.body);
}

/** Reads the next n records of a session; it fails when the session ends before. */
export async function take<F extends "string" | "bytes">(
	session: ReadableStream<ReadRecord<F>>,
	n: number,
): Promise<ReadRecord<F>[]> {
	const reader = session.getReader();
	try {
		const records: ReadRecord<F>[] = [];
		while (records.length < n) {
			const { done, value } = await reader.read();
			if (done) assert.fail(`the session ended after ${records.length} of ${n} records`);
			records.push(value);
		}
		return records;
	} finally {
		reader.releaseLock();
	}
}

/** Asserts that the promise fails with an error of S2 with this status and code, and returns the error. */
export async function fails(promise: Promise<unknown>, status: number, code?: string): Promise<S2Error> {
	const error = await promise.then(
		() => assert.fail(`succeeded in place of failing with ${status} ${code}`),
		(error: unknown) => error,
	);
	assert.ok(error instanceof S2Error, `not an error of S2: ${error}`);
	assert.equal(error.status, status, error.message);
	if (code !== undefined) assert.equal(error.code, code, error.message);
	return error;
}
