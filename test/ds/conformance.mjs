// Runs the protocol's conformance suite against a broker. Every test must pass but those that exceptions.json names.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newBroker } from "./broker.mjs";

const exceptions = JSON.parse(readFileSync("exceptions.json", "utf8"));
const excepted = (name) => exceptions.find((e) => name.startsWith(e.tests));
const broker = await newBroker();
const dir = mkdtempSync(join(tmpdir(), "weir-ds-report-"));
const report = join(dir, "report.json");
const escaped = exceptions.map((e) => e.tests.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
try {
	await new Promise((done) => {
		spawn("node_modules/.bin/vitest", ["run", "--reporter=json", `--outputFile=${report}`, "-t", `^(?!${escaped.join("|")})`], {
			stdio: ["ignore", "ignore", "inherit"],
			env: { ...process.env, CONFORMANCE_TEST_URL: broker.streams },
		}).once("exit", done);
	});
	const tests = JSON.parse(readFileSync(report, "utf8")).testResults.flatMap((file) => file.assertionResults);
	const counts = { passed: 0, excepted: 0, wrong: 0 };
	for (const test of tests) {
		if (test.status === "passed") {
			counts.passed++;
		} else if (test.status !== "failed" && excepted(test.fullName)) {
			counts.excepted++;
		} else {
			counts.wrong++;
			console.error(`${test.status}: ${test.fullName}\n  ${test.failureMessages?.[0]?.split("\n")[0] ?? ""}`);
		}
	}
	for (const e of exceptions) {
		const n = tests.filter((test) => excepted(test.fullName) === e).length;
		console.log(`${n} tests "${e.tests}..." were left out: ${e.reason}`);
		if (n === 0) counts.wrong++;
	}
	console.log(`Durable Streams conformance: ${counts.passed} of ${tests.length} tests passed, ${counts.excepted} left out, ${counts.wrong} wrong`);
	if (counts.wrong > 0 || counts.passed < 300) process.exitCode = 1;
} finally {
	await broker.end("SIGTERM");
	broker.remove();
	rmSync(dir, { recursive: true, force: true });
}
