import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** Where the broker embeds the console from. */
const embedded = fileURLToPath(new URL("../broker/internal/httpapi/dashboard", import.meta.url));

/** The broker that `npm run dev` talks to. */
const broker = process.env["WEIR_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
	base: "/dashboard/",
	build: {
		outDir: embedded,
		emptyOutDir: true,
		target: "es2022",
		modulePreload: { polyfill: false },
		// Nothing inline: the content security policy allows no script, style or data of that kind but images.
		assetsInlineLimit: 0,
		cssCodeSplit: false,
		// One script: a page that is open while the broker restarts, or is upgraded, has nothing left to load.
		rolldownOptions: { output: { codeSplitting: false } },
		reportCompressedSize: false,
	},
	oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
	server: {
		proxy: Object.fromEntries(["/v1", "/metrics", "/health", "/dashboard/session"].map((path) => [path, broker])),
	},
});
