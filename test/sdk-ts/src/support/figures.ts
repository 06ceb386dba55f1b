/** Figures that the suite measures on its way; the runner prints them behind the tests. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

const file = process.env["WEIR_SDK_FIGURES"];

/** Keeps a figure. Test files are processes of their own, so the runner finds them in a file. */
export function figure(name: string, value: number, unit: string): void {
	if (file) appendFileSync(file, `${name.padEnd(52)} ${value.toFixed(value < 100 ? 2 : 0).padStart(10)} ${unit}\n`);
}

export function readFigures(path: string): string {
	return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** The middle of the values. */
export function median(values: number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[sorted.length >> 1] ?? Number.NaN;
}
