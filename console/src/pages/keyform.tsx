import { useState } from "preact/hooks";
import type { Failure } from "../lib/client";
import { readKey, setKey } from "../lib/keys";
import { Icon } from "../ui/icons";
import { Button, Failed, Field } from "../ui/kit";

/** Asks for the encryption key of a stream. */
export function KeyForm({ basin, stream, cipher, error }: { basin: string; stream: string; cipher: string | null; error?: Failure | undefined }) {
	const [text, setText] = useState("");
	const key = readKey(text);
	const wrong = text.trim() !== "" && key === undefined ? "A key is 32 bytes in Base64: 44 characters." : undefined;
	return (
		<form
			class="card narrow"
			onSubmit={(e) => {
				e.preventDefault();
				if (key) setKey(basin, stream, key);
			}}
		>
			<h2 class="entry">
				<Icon name="lock" /> This stream is encrypted{cipher ? ` with ${cipher}` : ""}
			</h2>
			<p class="quiet">Its records can be read and appended with their key only. The key stays in the memory of this page: a reload forgets it.</p>
			{error && <Failed error={error} />}
			<Field label="Encryption key" error={wrong} hint="32 bytes in Base64">
				{(control) => (
					<input {...control} type="password" class="mono" autocomplete="off" value={text} onInput={(e) => setText(e.currentTarget.value)} />
				)}
			</Field>
			<div class="actions">
				<Button kind="primary" type="submit" disabled={key === undefined}>
					Use this key
				</Button>
			</div>
		</form>
	);
}
