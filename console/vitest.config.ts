import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		projects: [
			// Times are bounds for a machine that has much else to do: nothing here asserts how long something takes.
			{ test: { name: "unit", include: ["test/unit/**/*.test.ts"], environment: "node", testTimeout: 60_000 } },
			{
				test: {
					name: "e2e",
					include: ["test/e2e/**/*.test.ts"],
					environment: "node",
					// One browser and a broker or two at a time: two cores are enough for that.
					fileParallelism: false,
					testTimeout: 240_000,
					hookTimeout: 240_000,
					expect: { poll: { timeout: 40_000 } },
				},
			},
		],
	},
});
