import { defineConfig } from "vitest/config";

// The suite as it was published. A test that waits for the end of a long-poll needs more than vitest's 5 seconds.
export default defineConfig({
	test: {
		include: ["node_modules/@durable-streams/server-conformance-tests/dist/test-runner.js"],
		exclude: [],
		testTimeout: 40_000,
	},
});
