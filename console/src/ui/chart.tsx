/** Lines over time, drawn by uPlot in the colors of the page. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type Series = { name: string; values: Array<number | null> };

const binary = Array.from({ length: 51 }, (_, i) => 2 ** i);

const two = (n: number) => String(n).padStart(2, "0");

/** A time on an axis whose marks are so many seconds apart: local time, with seconds or the day where they matter. */
function clock(at: number, step: number): string {
	const d = new Date(at * 1000);
	const day = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
	if (step >= 86_400) return day;
	const time = `${two(d.getHours())}:${two(d.getMinutes())}`;
	if (step < 60) return `${time}:${two(d.getSeconds())}`;
	return time === "00:00" ? day : time;
}

/** Sums piled up: each series holds itself and all behind it, so that the first is drawn largest and the others over it. */
function piled(series: Series[]): number[][] {
	const out: number[][] = [];
	let above: number[] = (series[0]?.values ?? []).map(() => 0);
	for (const s of [...series].reverse()) {
		above = above.map((sum, i) => sum + (s.values[i] ?? 0));
		out.unshift(above);
	}
	return out;
}

export function Chart({
	label,
	times,
	series,
	format,
	bars = false,
	joined = false,
	bytes = false,
	range,
	height = 180,
}: {
	label: string;
	/** Seconds since 1970, rising. */
	times: number[];
	series: Series[];
	format: (value: number) => string;
	/** Piles bars of sums up. */
	bars?: boolean;
	/** Joins points by lines; in steps otherwise, as a size stays until it changes. */
	joined?: boolean;
	/** Marks the axis in binary steps. */
	bytes?: boolean;
	/** Seconds from and to; by the data otherwise. */
	range?: readonly [number, number];
	height?: number;
}) {
	const box = useRef<HTMLDivElement>(null);
	const plot = useRef<uPlot | null>(null);
	const shape = JSON.stringify([series.map((s) => s.name), bars, joined, bytes, height]);
	const data = (): uPlot.AlignedData => [times, ...(bars ? piled(series) : series.map((s) => s.values))];
	const latest = useRef({ format, range, series });
	latest.current = { format, range, series };
	useEffect(() => {
		const el = box.current;
		if (!el) return;
		const dark = matchMedia("(prefers-color-scheme: dark)");
		const make = () => {
			plot.current?.destroy();
			const css = getComputedStyle(el);
			const color = (name: string) => css.getPropertyValue(name).trim();
			const axis = {
				stroke: color("--quiet"),
				grid: { stroke: color("--line"), width: 1 },
				ticks: { show: false },
				font: `11px ${css.fontFamily}`,
			};
			const paths = bars ? uPlot.paths.bars?.({ size: [0.9, 40], align: 1 }) : joined ? uPlot.paths.linear?.() : uPlot.paths.stepped?.({ align: 1 });
			plot.current = new uPlot(
				{
					width: el.clientWidth,
					height,
					cursor: { y: false, points: { size: 6 } },
					legend: { live: true },
					scales: {
						x: { range: (_, min, max) => (latest.current.range ? [latest.current.range[0], latest.current.range[1]] : [min, max]) },
						y: { range: (_, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
					},
					axes: [
						{ ...axis, space: 84, size: 26, values: (_, ticks, _axis, _space, step) => ticks.map((at) => clock(at, step)) },
						{ ...axis, size: 66, ...(bytes && { incrs: binary }), values: (_, ticks) => ticks.map((v) => (v === 0 ? "0" : latest.current.format(v))) },
					],
					series: [
						{ value: (_, v) => (v === null ? "–" : new Date(v * 1000).toLocaleString()) },
						...series.map((s, i) => ({
							label: s.name,
							stroke: color(`--series-${(i % 6) + 1}`),
							width: bars ? 0 : 1.6,
							...(paths && { paths }),
							...(bars ? { fill: color(`--series-${(i % 6) + 1}`) } : series.length === 1 && { fill: `${color(`--series-${(i % 6) + 1}`)}22` }),
							points: { show: false },
							value: (_: uPlot, _v: number | null, _s: number, at: number | null) => {
								const v = at === null ? undefined : latest.current.series[i]?.values[at];
								return v === null || v === undefined ? "–" : latest.current.format(v);
							},
						})),
					],
				},
				data(),
				el,
			);
		};
		make();
		dark.addEventListener("change", make);
		const observer = new ResizeObserver(() => {
			if (el.clientWidth > 0) plot.current?.setSize({ width: el.clientWidth, height });
		});
		observer.observe(el);
		return () => {
			observer.disconnect();
			dark.removeEventListener("change", make);
			plot.current?.destroy();
			plot.current = null;
		};
	}, [shape]);
	useEffect(() => {
		plot.current?.setData(data());
		// What is not pointed at shows what is now.
		if (joined && times.length > 0 && (plot.current?.cursor.left ?? -1) < 0) plot.current?.setLegend({ idx: times.length - 1 }, false);
	}, [times, series, range?.[0], range?.[1]]);
	return <div class="chart" ref={box} role="img" aria-label={label} />;
}
