/** A stream that begins with the records of another one. */
import { useState } from "preact/hooks";
import { forkStream } from "../lib/byhand";
import { count } from "../lib/format";
import { useAction } from "../lib/load";
import { go, href } from "../lib/route";
import { wholeNumber } from "../lib/start";
import type { StreamView } from "../lib/streamview";
import { announce, Button, Dialog, Failed, TextField } from "../ui/kit";

export function ForkStream({ basin, stream, view, onClose }: { basin: string; stream: string; view: StreamView; onClose: () => void }) {
	void view.revision.value;
	const [name, setName] = useState(`${stream}-fork`);
	const [text, setText] = useState("");
	const at = text === "" ? undefined : wholeNumber(text);
	const { first, tail } = view;
	const wrong =
		text === ""
			? undefined
			: at === undefined
				? "A whole number."
				: tail !== undefined && at > tail
					? `At most the tail, ${count(tail)}.`
					: first !== undefined && at < first
						? `At least ${count(first)}, the first record that is kept.`
						: undefined;
	const usable = name !== "" && name !== stream && wrong === undefined;
	const fork = useAction(async () => {
		await forkStream(basin, stream, name, at);
		announce(`Stream ${name} is created`);
		go(href({ page: "stream", basin, stream: name }));
	});
	return (
		<Dialog title="Fork the stream" onClose={onClose}>
			<form
				onSubmit={(e) => {
					e.preventDefault();
					if (usable) fork.run();
				}}
			>
				<p class="quiet">
					Creates a stream that begins with the records of this one and goes on by itself. Nothing is copied, and each of the two is trimmed,
					closed and deleted without the other.
				</p>
				<TextField label="Name of the fork" mono autofocus value={name} onValue={setName} error={name === stream ? "That is this stream." : undefined} />
				<TextField
					label="Share the records below"
					mono
					inputMode="numeric"
					placeholder={tail === undefined ? "the tail" : `the tail, ${count(tail)}`}
					hint="A seq_num. The next record of the fork gets it."
					value={text}
					onValue={setText}
					error={wrong}
				/>
				{fork.error && <Failed error={fork.error} />}
				<div class="actions">
					<Button onClick={onClose}>Cancel</Button>
					<Button kind="primary" type="submit" busy={fork.busy} disabled={!usable}>
						Fork
					</Button>
				</div>
			</form>
		</Dialog>
	);
}
