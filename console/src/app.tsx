/** The frame around every view: where one can go, who one is, whether the broker answers. */
import { Component, type ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { currentRoute, href, type Route } from "./lib/route";
import { allows, reachable, session, signOut, state } from "./lib/session";
import { Icon, Mark } from "./ui/icons";
import { Announcer, Button, Dialog, Empty, Link, Loading, Notice } from "./ui/kit";
import { Login } from "./pages/login";
import { BasinPage } from "./pages/basin";
import { Basins } from "./pages/basins";
import { Broker } from "./pages/broker";
import { StreamPage } from "./pages/stream";
import { Tokens } from "./pages/tokens";
import { Usage } from "./pages/usage";

export function App() {
	const now = state.value;
	if (now.kind === "starting") {
		return (
			<main class="login">
				<div>
					<h1>
						<Mark /> weir
					</h1>
					{reachable.value ? <Loading what="the console" /> : <Notice kind="warn" title="The broker does not answer. Trying again…" />}
				</div>
			</main>
		);
	}
	return (
		<>
			{now.kind === "asking" ? <Login reason={now.reason} /> : <Shell />}
			<Announcer />
		</>
	);
}

const titles: Record<Route["page"], string> = {
	basins: "Basins",
	basin: "Basin",
	stream: "Stream",
	usage: "Usage",
	broker: "Broker",
	tokens: "Access tokens",
	missing: "Not found",
};

function title(route: Route): string {
	if (route.page === "basin") return `${route.basin} · weir`;
	if (route.page === "stream") return `${route.stream} · ${route.basin} · weir`;
	return `${titles[route.page]} · weir`;
}

function Shell() {
	const route = currentRoute();
	const [help, setHelp] = useState(false);
	const main = useRef<HTMLElement>(null);
	const where = JSON.stringify(route);
	const first = useRef(true);
	useEffect(() => {
		document.title = title(route);
		if (!first.current) main.current?.focus({ preventScroll: true });
		first.current = false;
	}, [where]);
	useShortcuts(() => setHelp(true));
	return (
		<div class="shell">
			<a class="skip" href="#content" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>
				Skip to the content
			</a>
			<Side route={route} onHelp={() => setHelp(true)} />
			<div class="content">
				{!reachable.value && (
					<div class="banner" role="alert">
						<Icon name="warn" /> The broker does not answer. What you see may be old; the page goes on by itself when it is back.
					</div>
				)}
				<main id="content" ref={main} tabIndex={-1}>
					<Guard key={where}>
						<View route={route} />
					</Guard>
				</main>
			</div>
			{help && <Help onClose={() => setHelp(false)} />}
		</div>
	);
}

function View({ route }: { route: Route }) {
	switch (route.page) {
		case "basins":
			return <Basins />;
		case "basin":
			return <BasinPage basin={route.basin} />;
		case "stream":
			return <StreamPage basin={route.basin} stream={route.stream} />;
		case "usage":
			return <Usage />;
		case "broker":
			return <Broker />;
		case "tokens":
			return <Tokens />;
		default:
			return (
				<>
					<h1>Not found</h1>
					<Empty icon="help" title="There is no such page">
						<p>
							<Link to={href({ page: "basins" })}>Go to the basins</Link>
						</p>
					</Empty>
				</>
			);
	}
}

function Side({ route, onHelp }: { route: Route; onHelp: () => void }) {
	const who = session.value;
	const at = route.page === "basin" || route.page === "stream" ? "basins" : route.page;
	const entries = [
		["basins", "Basins", "basins", true],
		["usage", "Usage", "usage", allows("account-metrics") || allows("basin-metrics") || allows("stream-metrics")],
		["broker", "Broker", "broker", true],
		["tokens", "Access tokens", "tokens", allows("list-access-tokens") || allows("issue-access-token")],
	] as const;
	return (
		<header class="side">
			<Link class="brand" to={href({ page: "basins" })}>
				<Mark /> weir
			</Link>
			<nav aria-label="Main">
				{entries
					.filter(([, , , shown]) => shown)
					.map(([page, text, icon]) => (
						<Link key={page} to={href({ page })} aria-current={page === at ? "page" : undefined}>
							<Icon name={icon} /> {text}
						</Link>
					))}
			</nav>
			<div class="who">
				{who && !who.checked && (
					<p class="row" title="This broker has no root token: whoever reaches it may do everything.">
						<span class="dot warn" /> Open: nothing is checked
					</p>
				)}
				{who?.checked && (
					<>
						<p class="row long">
							<span class="dot" /> <span>Signed in as {who.token.id}</span>
						</p>
						<p class="row">
							<Button kind="plain" icon="out" onClick={signOut}>
								Sign out
							</Button>
						</p>
					</>
				)}
				<p class="row long">weir {who?.version}</p>
				<p class="row">
					<Button kind="ghost" icon="help" label="Keyboard shortcuts" onClick={onHelp} />
				</p>
			</div>
		</header>
	);
}

/** Keeps a fault in one view from taking the page with it. */
class Guard extends Component<{ children: ComponentChildren }, { fault: string | null }> {
	override state = { fault: null as string | null };
	static override getDerivedStateFromError(error: unknown) {
		return { fault: error instanceof Error ? error.message : String(error) };
	}
	override render() {
		if (this.state.fault === null) return this.props.children;
		return (
			<Notice kind="bad" title="The console itself has failed here. This is a fault of weir: please report it.">
				<pre>{this.state.fault}</pre>
				<Button onClick={() => this.setState({ fault: null })}>Show the page again</Button>
			</Notice>
		);
	}
}

const shortcuts: ReadonlyArray<readonly [keys: string[], what: string]> = [
	[["/"], "Search or filter"],
	[["g", "b"], "Go to the basins"],
	[["g", "u"], "Go to the usage"],
	[["g", "o"], "Go to the broker"],
	[["g", "t"], "Go to the access tokens"],
	[["↑", "↓"], "Previous or next record; also k and j"],
	[["Page ↑", "Page ↓"], "A page of records back or on"],
	[["Home", "End"], "First record, or the tail"],
	[["Enter"], "Open the record"],
	[["f"], "Follow, pause or resume"],
	[["s"], "Snippets for this page"],
	[["Esc"], "Close what is open"],
	[["?"], "This list"],
];

function Help({ onClose }: { onClose: () => void }) {
	return (
		<Dialog title="Keyboard shortcuts" onClose={onClose}>
			<table>
				<tbody>
					{shortcuts.map(([keys, what]) => (
						<tr key={what}>
							<th scope="row">{what}</th>
							<td class="right">
								{keys.map((key, i) => (
									<span key={key}>
										{i > 0 && " "}
										<kbd>{key}</kbd>
									</span>
								))}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</Dialog>
	);
}

/** Whether a key belongs to what one types in. */
export function typing(event: KeyboardEvent): boolean {
	const target = event.target;
	return (
		event.ctrlKey ||
		event.metaKey ||
		event.altKey ||
		document.querySelector("dialog[open]") !== null ||
		(target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]"))
	);
}

function useShortcuts(onHelp: () => void) {
	useEffect(() => {
		let after = 0; // when g was pressed
		const onKey = (event: KeyboardEvent) => {
			if (typing(event) || event.defaultPrevented) return;
			if (event.key === "?") onHelp();
			else if (event.key === "/") {
				const box = document.querySelector<HTMLInputElement>("input[data-search]");
				if (!box) return;
				box.focus();
				box.select();
			} else if (event.key === "s") document.querySelector<HTMLButtonElement>("button[data-snippets]")?.click();
			else if (event.key === "f") document.querySelector<HTMLButtonElement>("button[data-follow]")?.click();
			else if (event.key === "g") {
				after = performance.now();
				return;
			} else if (performance.now() - after < 1500) {
				const to = { b: "basins", u: "usage", o: "broker", t: "tokens" }[event.key];
				if (!to) return;
				document.querySelector<HTMLAnchorElement>(`nav[aria-label="Main"] a[href="${href({ page: to } as Route)}"]`)?.click();
			} else return;
			event.preventDefault();
			after = 0;
		};
		addEventListener("keydown", onKey);
		return () => removeEventListener("keydown", onKey);
	}, []);
}
