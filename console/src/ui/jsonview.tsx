/** JSON as a tree of lines that fold. */
import { useState } from "preact/hooks";
import type { Json } from "../lib/jsontree";
import { Button } from "./kit";

/** Members shown at once; the rest is asked for. */
const page = 100;

export function JsonView({ value }: { value: Json }) {
	return (
		<div class="json mono">
			<Node value={value} depth={0} />
		</div>
	);
}

function Node({ name, value, depth }: { name?: string; value: Json; depth: number }) {
	const label = name === undefined ? null : <span class="json-name">{JSON.stringify(name)}: </span>;
	if (value.kind === "text") {
		return (
			<div>
				{label}
				<span class="json-text">{JSON.stringify(value.value)}</span>
			</div>
		);
	}
	if (value.kind === "word") {
		return (
			<div>
				{label}
				<span class="json-word">{value.value}</span>
			</div>
		);
	}
	return <Branch name={name} value={value} depth={depth} />;
}

function Branch({ name, value, depth }: { name: string | undefined; value: Extract<Json, { kind: "list" | "object" }>; depth: number }) {
	const length = value.kind === "list" ? value.items.length : value.members.length;
	const [open, setOpen] = useState(depth < 2 || length <= 3);
	const [shown, setShown] = useState(page);
	const [begin, end] = value.kind === "list" ? ["[", "]"] : ["{", "}"];
	const label = name === undefined ? null : <span class="json-name">{JSON.stringify(name)}: </span>;
	if (length === 0) {
		return (
			<div>
				{label}
				{begin + end}
			</div>
		);
	}
	const what = value.kind === "list" ? `${length} ${length === 1 ? "item" : "items"}` : `${length} ${length === 1 ? "member" : "members"}`;
	return (
		<div>
			<button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
				{label}
				{begin}
				{!open && <span class="quiet">{` ${what} `}</span>}
				{!open && end}
			</button>
			{open && (
				<>
					<div class="json-in">
						{value.kind === "list"
							? value.items.slice(0, shown).map((item, i) => <Node key={i} value={item} depth={depth + 1} />)
							: value.members.slice(0, shown).map(([name, member], i) => <Node key={i} name={name} value={member} depth={depth + 1} />)}
						{length > shown && <Button kind="ghost" onClick={() => setShown(shown + 10 * page)}>{`Show more of ${what}`}</Button>}
					</div>
					<div>{end}</div>
				</>
			)}
		</div>
	);
}
