import { defineConfig } from "vitest/config";

// The suite as it was published. A test that waits for the end of a long-poll needs more than vitest's 5 seconds. Some tests sleep for three
// quarters of a stream's life, or give an event two seconds: what a machine with much else to do is too slow for is tried again.
export default defineConfig({
	test: {
		include: ["node_modules/@durable-streams/server-conformance-tests/dist/test-runner.js"],
		exclude: [],
		testTimeout: 40_000,
		retry: 3,
	},
});
