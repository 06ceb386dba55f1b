import { useState } from "preact/hooks";
import { signIn } from "../lib/session";
import { Mark } from "../ui/icons";
import { Button, Field, Notice } from "../ui/kit";

/** Asks for an access token. */
export function Login({ reason }: { reason: string | undefined }) {
	const [secret, setSecret] = useState("");
	const [busy, setBusy] = useState(false);
	const [told, setTold] = useState<string | undefined>(undefined);
	const submit = async () => {
		setBusy(true);
		setTold(undefined);
		const problem = await signIn(secret.trim());
		setBusy(false);
		setTold(problem);
	};
	const shown = told ?? reason;
	return (
		<main class="login">
			<div>
				<h1>
					<Mark /> Sign in to weir
				</h1>
				{shown && <Notice kind={told ? "bad" : "warn"} title={shown} />}
				<form
					class="card"
					onSubmit={(e) => {
						e.preventDefault();
						void submit();
					}}
				>
					<Field label="Access token" hint="It is kept for this tab only and forgotten when you close it.">
						{(control) => (
							<input
								{...control}
								type="password"
								class="mono"
								autocomplete="off"
								autofocus
								required
								value={secret}
								onInput={(e) => setSecret(e.currentTarget.value)}
							/>
						)}
					</Field>
					<Button kind="primary" type="submit" busy={busy} disabled={secret.trim() === ""}>
						Sign in
					</Button>
				</form>
				<p class="quiet">
					The root token is in the file that the broker was started with (<code>root_token_file</code>). With it, issue tokens for others
					under Access tokens, or with <code>weir issue-access-token</code>.
				</p>
			</div>
		</main>
	);
}
