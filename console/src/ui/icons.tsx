/** Icons of 16 by 16, drawn in the color of the text beside them. They say nothing to screen readers: labels do. */
const paths = {
	basins: "M2.5 4.500c0-1.100 2.500-2 5.500-2s5.500.9 5.500 2-2.500 2-5.500 2-5.500-.9-5.500-2Zm0 0v7c0 1.100 2.500 2 5.500 2s5.500-.9 5.500-2v-7M2.500 8c0 1.100 2.500 2 5.500 2s5.500-.9 5.500-2",
	usage: "M2.500 13.500h11M4.500 11V8M8 11V3.500M11.500 11V6",
	broker: "M1.500 8.500h3l2-5 3 9 2-4h3",
	tokens: "M10.500 2.500a3 3 0 1 1-2.700 4.300L2.500 12v1.500h2v-1.500h1.500v-1.500h1.500l1-1M11 5h.01",
	stream: "M2 4.500h12M2 8h12M2 11.500h7",
	folder: "M1.500 4a1 1 0 0 1 1-1h3.300l1.500 1.700h6.200a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1Z",
	plus: "M8 3v10M3 8h10",
	search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.700 10.700 14 14",
	fork: "M4.500 5.500v5m0-5a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3Zm0 5a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3Zm7-5a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3Zm0 0c0 3-7 2-7 5",
	close: "m4 4 8 8M12 4l-8 8",
	copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8Z",
	check: "m3 8.500 3.500 3.500L13 4.500",
	left: "M10 3 5 8l5 5",
	right: "m6 3 5 5-5 5",
	down: "m3 6 5 5 5-5",
	play: "M4.500 2.500v11l9-5.500Z",
	pause: "M5 3v10M11 3v10",
	download: "M8 2v8m-3-3 3 3 3-3M2.500 13.500h11",
	code: "m5 4.500-3.500 3.500L5 11.500m6-7 3.500 3.500-3.500 3.500",
	lock: "M4 7.500h8v6H4Zm1.500 0V5a2.500 2.500 0 0 1 5 0v2.500",
	warn: "M8 2 14.500 13.500h-13ZM8 6.500v3.500M8 12v.01",
	info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.500V11M8 5v.01",
	out: "M9.500 3h-6v10h6M6.500 8h8m-2.500-2.500L14.500 8 12 10.500",
	help: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM6.300 6.200a1.700 1.700 0 1 1 2.500 1.500c-.6.3-.8.7-.8 1.300M8 11.200v.01",
	trash: "M2.500 4.500h11M6 4.500v-2h4v2M4 4.500l.7 9h6.600l.7-9",
	edit: "m10.500 2.800 2.700 2.700-7.700 7.700-3.200.5.500-3.200Z",
	refresh: "M13 8a5 5 0 1 1-1.500-3.500L13 6m0-3v3h-3",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
	return (
		<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
			<path d={paths[name]} />
		</svg>
	);
}

/** The mark of weir: water over a sill. */
export function Mark() {
	return (
		<svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" focusable="false">
			<rect width="32" height="32" rx="7" class="mark-ground" />
			<path class="mark-water" d="M5 12c3.700 0 3.700 2.600 7.300 2.600S16 12 19.700 12s3.700 2.600 7.300 2.600M5 19c3.700 0 3.700 2.600 7.300 2.600S16 19 19.700 19s3.700 2.600 7.300 2.600" />
		</svg>
	);
}
