import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		projects: [
			{ test: { name: "unit", include: ["test/unit/**/*.test.ts"], environment: "node" } },
			{
				test: {
					name: "e2e",
					include: ["test/e2e/**/*.test.ts"],
					environment: "node",
					// One browser and a broker or two at a time: two cores are enough for that.
					fileParallelism: false,
					testTimeout: 45_000,
					hookTimeout: 60_000,
				},
			},
		],
	},
});
