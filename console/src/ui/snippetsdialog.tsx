/** The call of the page one is on, in the language of one's choice. */
import { useState } from "preact/hooks";
import { currentQuery, type Route } from "../lib/route";
import { session } from "../lib/session";
import { callOf, type Language, languages, snippet } from "../lib/snippets";
import { Button, Choice, Copy, Dialog } from "./kit";

const key = "weir.snippets";

function remembered(): Language {
	try {
		const language = localStorage.getItem(key) as Language;
		return languages.includes(language) ? language : "curl";
	} catch {
		return "curl";
	}
}

export function Snippets({ route, tab = "", encrypted = false }: { route: Route; tab?: string; encrypted?: boolean }) {
	const [open, setOpen] = useState(false);
	return (
		<>
			<Button icon="code" data-snippets onClick={() => setOpen(true)}>
				Snippets
			</Button>
			{open && <SnippetsDialog route={route} tab={tab} encrypted={encrypted} onClose={() => setOpen(false)} />}
		</>
	);
}

const remarks: Partial<Record<Language, string>> = {
	s2: "S2’s own command, pointed at this broker.",
	weir: "The command that comes with the broker; it talks NATS.",
	nats: "Nothing but the nats command.",
	TypeScript: "S2’s SDK, @s2-dev/streamstore.",
	Go: "The package client of weir, over NATS.",
	Python: "The HTTP API, with the standard library alone.",
};

function SnippetsDialog({ route, tab, encrypted, onClose }: { route: Route; tab: string; encrypted: boolean; onClose: () => void }) {
	const [language, setLanguage] = useState(remembered);
	const who = session.value;
	const text = snippet(language, callOf(route, tab, currentQuery().get("at")), {
		http: location.origin,
		nats: who?.nats_url ?? "",
		checked: who?.checked ?? false,
		encrypted,
	});
	return (
		<Dialog title="The same from a program" onClose={onClose} wide>
			<Choice
				label="Language"
				value={language}
				options={languages.map((l) => [l, l] as const)}
				onValue={(l) => {
					setLanguage(l);
					try {
						localStorage.setItem(key, l);
					} catch {
						// It is asked for again next time.
					}
				}}
			/>
			{text === null ? (
				<p class="quiet">
					{(language === "nats" || language === "Go") && who?.nats_url === ""
						? "This broker opens no port for NATS clients (nats.listen)."
						: "There is no such call in this language."}
				</p>
			) : (
				<div class="snippet">
					<pre class="block" tabIndex={0} aria-label="Snippet">{text}</pre>
					<Copy text={text} label="Copy the snippet" />
				</div>
			)}
			<p class="hint">{remarks[language] ?? "The HTTP API as it is."}</p>
		</Dialog>
	);
}
