/** The small parts that every page is made of. */
import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import type { Failure } from "../lib/client";
import { pieces } from "../lib/bytes";
import { localExact, relative, utcExact } from "../lib/format";
import { go } from "../lib/route";
import { Icon, type IconName } from "./icons";

/** A link to a view of the console. */
export function Link({ to, children, ...rest }: {
	to: string;
	children: ComponentChildren;
	class?: string;
	"aria-current"?: "page" | undefined;
	"aria-label"?: string;
}) {
	const onClick = (event: MouseEvent) => {
		if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
		event.preventDefault();
		go(to);
	};
	return (
		<a {...rest} href={to} onClick={onClick}>
			{children}
		</a>
	);
}

type ButtonProps = {
	kind?: "primary" | "plain" | "danger" | "ghost";
	icon?: IconName;
	/** Names a button that shows an icon alone. */
	label?: string;
	busy?: boolean;
	children?: ComponentChildren;
} & Omit<ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "label">;

export function Button({ kind = "plain", icon, label, busy, children, class: extra, ...rest }: ButtonProps) {
	return (
		<button
			type="button"
			{...rest}
			class={`button ${kind}${children === undefined ? " bare" : ""}${extra ? ` ${String(extra)}` : ""}`}
			aria-label={label}
			title={rest.title ?? label}
			aria-busy={busy || undefined}
			disabled={rest.disabled || busy}
		>
			{icon && <Icon name={icon} />}
			{children !== undefined && <span>{children}</span>}
		</button>
	);
}

/** A labelled control: it gets the id that its label and hint belong to. */
export function Field({
	label,
	hint,
	error,
	inline,
	children,
}: {
	label: string;
	hint?: ComponentChildren;
	error?: string | undefined;
	inline?: boolean;
	children: (control: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean | undefined }) => ComponentChildren;
}) {
	const id = useId();
	const about = hint || error ? `${id}-about` : undefined;
	return (
		<div class={inline ? "field inline" : "field"}>
			<label for={id}>{label}</label>
			{children({ id, "aria-describedby": about, "aria-invalid": error ? true : undefined })}
			{about && (
				<p id={about} class={error ? "hint bad" : "hint"}>
					{error ?? hint}
				</p>
			)}
		</div>
	);
}

export function TextField({
	label,
	hint,
	error,
	value,
	onValue,
	mono,
	...rest
}: {
	label: string;
	hint?: ComponentChildren;
	error?: string | undefined;
	value: string;
	onValue: (value: string) => void;
	mono?: boolean;
	placeholder?: string;
	autofocus?: boolean;
	inputMode?: "numeric" | "text";
	disabled?: boolean;
}) {
	return (
		<Field label={label} hint={hint} error={error}>
			{(control) => (
				<input
					type="text"
					autocomplete="off"
					autocapitalize="off"
					spellcheck={false}
					{...rest}
					{...control}
					class={mono ? "mono" : undefined}
					value={value}
					onInput={(e) => onValue(e.currentTarget.value)}
				/>
			)}
		</Field>
	);
}

export function SelectField<T extends string>({
	label,
	hint,
	value,
	options,
	onValue,
	inline,
}: {
	label: string;
	hint?: ComponentChildren;
	value: T;
	options: ReadonlyArray<readonly [value: T, text: string]>;
	onValue: (value: T) => void;
	inline?: boolean;
}) {
	return (
		<Field label={label} hint={hint} inline={inline ?? false}>
			{(control) => (
				<select {...control} value={value} onChange={(e) => onValue(e.currentTarget.value as T)}>
					{options.map(([value, text]) => (
						<option key={value} value={value}>
							{text}
						</option>
					))}
				</select>
			)}
		</Field>
	);
}

export function Check({
	label,
	hint,
	checked,
	onChecked,
	disabled,
}: {
	label: ComponentChildren;
	hint?: string;
	checked: boolean;
	onChecked: (checked: boolean) => void;
	disabled?: boolean;
}) {
	const id = useId();
	return (
		<div class="check">
			<input
				id={id}
				type="checkbox"
				checked={checked}
				disabled={disabled}
				aria-describedby={hint ? `${id}-about` : undefined}
				onChange={(e) => onChecked(e.currentTarget.checked)}
			/>
			<label for={id}>{label}</label>
			{hint && (
				<p id={`${id}-about`} class="hint">
					{hint}
				</p>
			)}
		</div>
	);
}

/** A choice of few, all in sight. */
export function Choice<T extends string>({
	label,
	value,
	options,
	onValue,
}: {
	label: string;
	value: T;
	options: ReadonlyArray<readonly [value: T, text: string]>;
	onValue: (value: T) => void;
}) {
	const name = useId();
	return (
		<fieldset class="choice">
			<legend class="unseen">{label}</legend>
			{options.map(([option, text]) => (
				<label key={option} class={option === value ? "on" : undefined}>
					<input type="radio" name={name} value={option} checked={option === value} onChange={() => onValue(option)} />
					<span>{text}</span>
				</label>
			))}
		</fieldset>
	);
}

/** A dialog over the page. Escape and its close button end it. */
export function Dialog({
	title,
	onClose,
	children,
	wide,
}: {
	title: ComponentChildren;
	onClose: () => void;
	children: ComponentChildren;
	wide?: boolean;
}) {
	const ref = useRef<HTMLDialogElement>(null);
	const id = useId();
	useEffect(() => {
		const dialog = ref.current;
		const before = document.activeElement;
		dialog?.showModal();
		dialog?.querySelector<HTMLElement>("[autofocus], .dialog-body input, .dialog-body textarea, .dialog-body select")?.focus();
		return () => {
			dialog?.close();
			if (before instanceof HTMLElement && before.isConnected) before.focus();
		};
	}, []);
	return (
		<dialog
			ref={ref}
			class={wide ? "wide" : undefined}
			aria-labelledby={id}
			onCancel={(e) => {
				e.preventDefault();
				onClose();
			}}
		>
			<header>
				<h2 id={id}>{title}</h2>
				<Button kind="ghost" icon="close" label="Close" onClick={onClose} />
			</header>
			<div class="dialog-body">{children}</div>
		</dialog>
	);
}

export function Notice({ kind, title, children }: { kind: "info" | "good" | "warn" | "bad"; title?: ComponentChildren; children?: ComponentChildren }) {
	const icon = kind === "good" ? "check" : kind === "info" ? "info" : "warn";
	return (
		<div class={`notice ${kind}`} role={kind === "bad" ? "alert" : "status"}>
			<Icon name={icon} />
			<div>
				{title !== undefined && <p class="notice-title">{title}</p>}
				{children}
			</div>
		</div>
	);
}

/** A failure in the API's words, and what to try. */
export function Failed({ error, retry }: { error: Failure; retry?: () => void }) {
	return (
		<Notice kind="bad" title={error.message}>
			{error.hint && <p>{error.hint}</p>}
			<p class="failed-code">
				{error.code && <code>{error.code}</code>}
				{error.status > 0 && <span>status {error.status}</span>}
				{retry && error.code !== "unreachable" && (
					<Button kind="ghost" icon="refresh" onClick={retry}>
						Try again
					</Button>
				)}
			</p>
		</Notice>
	);
}

/** A place where nothing is, with what to do next. */
export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
	return (
		<div class="empty">
			<Icon name={icon} />
			<p class="empty-title">{title}</p>
			{children}
		</div>
	);
}

/** Ticks for times in words. */
const minute = signal(Date.now());
if (typeof window !== "undefined") setInterval(() => { minute.value = Date.now(); }, 15_000);

/** A time in words; its exact forms on hover and for screen readers. */
export function When({ at }: { at: number | Date | null | undefined }) {
	if (at === null || at === undefined) return <span class="quiet">–</span>;
	const ms = typeof at === "number" ? at : at.getTime();
	const now = Math.max(minute.value, Date.now());
	const exact = utcExact(ms);
	if (exact === "–") return <span class="quiet">out of range</span>;
	return (
		<time dateTime={exact} title={`${localExact(ms)} local\n${exact}`}>
			{relative(ms, now)}
		</time>
	);
}

/** A name of any characters: what cannot be seen is shown as an escape, and nothing leaks its direction. */
export function Name({ text, mono = true }: { text: string; mono?: boolean }) {
	return (
		<bdi class={mono ? "name mono" : "name"}>
			{pieces(text).map((piece, i) => (piece.unseen ? <span key={i} class="escape">{piece.text}</span> : piece.text))}
		</bdi>
	);
}

/** Copies text; over plain HTTP to other hosts, where browsers have no clipboard for pages, by way of a selection. */
export async function copyText(text: string): Promise<void> {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = document.createElement("textarea");
		area.value = text;
		area.setAttribute("aria-hidden", "true");
		area.className = "unseen";
		(document.querySelector("dialog[open]") ?? document.body).append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
	announce("Copied");
}

export function Copy({ text, label = "Copy" }: { text: string | (() => string); label?: string }) {
	const [done, setDone] = useState(false);
	useEffect(() => {
		if (!done) return;
		const timer = setTimeout(() => setDone(false), 1500);
		return () => clearTimeout(timer);
	}, [done]);
	return (
		<Button
			kind="ghost"
			class="copy"
			icon={done ? "check" : "copy"}
			label={done ? "Copied" : label}
			onClick={() => void copyText(typeof text === "string" ? text : text()).then(() => setDone(true))}
		/>
	);
}

/** Views of one thing, each with an address of its own. */
export function Tabs({ label, tabs, current }: { label: string; tabs: ReadonlyArray<readonly [id: string, text: string, to: string]>; current: string }) {
	return (
		<nav class="tabs" aria-label={label}>
			{tabs.map(([id, text, to]) => (
				<Link key={id} to={to} aria-current={id === current ? "page" : undefined}>
					{text}
				</Link>
			))}
		</nav>
	);
}

/** What happened, for screen readers and for a moment at the foot of the page. */
const said = signal<{ text: string; n: number }>({ text: "", n: 0 });

export function announce(text: string): void {
	said.value = { text, n: said.value.n + 1 };
}

export function Announcer() {
	const { text, n } = said.value;
	const [shown, setShown] = useState(0);
	useEffect(() => {
		if (text === "") return;
		setShown(n);
		const timer = setTimeout(() => setShown(0), 4000);
		return () => clearTimeout(timer);
	}, [text, n]);
	return (
		<div class={shown === n && text !== "" ? "toast" : "toast off"} role="status" aria-live="polite">
			{text}
		</div>
	);
}

/** Asks for a name to be typed before something that cannot be undone. */
export function ConfirmByName({
	title,
	name,
	what,
	action,
	onConfirm,
	onClose,
	busy,
	error,
	children,
}: {
	title: ComponentChildren;
	name: string;
	/** What the name is of, for the label. */
	what: string;
	action: string;
	onConfirm: () => void;
	onClose: () => void;
	busy: boolean;
	error?: Failure | undefined;
	children?: ComponentChildren;
}) {
	const [typed, setTyped] = useState("");
	return (
		<Dialog title={title} onClose={onClose}>
			<form
				onSubmit={(e) => {
					e.preventDefault();
					if (typed === name) onConfirm();
				}}
			>
				{children}
				<p class="quiet">
					To confirm, type <Name text={name} /> <Copy text={name} label={`Copy the name of the ${what}`} />
				</p>
				<TextField label={`Name of the ${what}`} mono value={typed} onValue={setTyped} />
				{error && <Failed error={error} />}
				<div class="actions">
					<Button onClick={onClose}>Cancel</Button>
					<Button kind="danger" type="submit" busy={busy} disabled={typed !== name}>
						{action}
					</Button>
				</div>
			</form>
		</Dialog>
	);
}

/** Pages of a list that can only be asked for forward: the first, and the next. */
export function Pager({ shown, first, next, what }: { shown: number; first?: string | undefined; next?: string | undefined; what: string }) {
	if (!first && !next) return <p class="pager quiet">{`${shown} ${shown === 1 ? what.replace(/s$/, "") : what}`}</p>;
	return (
		<nav class="pager" aria-label={`Pages of ${what}`}>
			<span class="quiet">{`${shown} ${what} on this page`}</span>
			<span class="grow" />
			{first && (
				<Link class="button plain" to={first}>
					First page
				</Link>
			)}
			{next ? (
				<Link class="button plain" to={next}>
					Next page
				</Link>
			) : (
				<span class="quiet">Last page</span>
			)}
		</nav>
	);
}

/** A search box that settles before it speaks; Escape empties it. */
export function Search({ label, value, onValue, placeholder }: { label: string; value: string; onValue: (value: string) => void; placeholder?: string }) {
	const [typed, setTyped] = useState(value);
	const told = useRef(value);
	useEffect(() => {
		if (value !== told.current) {
			told.current = value;
			setTyped(value);
		}
	}, [value]);
	useEffect(() => {
		if (typed === told.current) return;
		const timer = setTimeout(() => {
			told.current = typed;
			onValue(typed);
		}, 200);
		return () => clearTimeout(timer);
	}, [typed]);
	return (
		<div class="search">
			<Icon name="search" />
			<input
				type="search"
				data-search
				aria-label={label}
				placeholder={placeholder ?? label}
				autocomplete="off"
				autocapitalize="off"
				spellcheck={false}
				value={typed}
				onInput={(e) => setTyped(e.currentTarget.value)}
				onKeyDown={(e) => {
					if (e.key === "Escape" && typed !== "") {
						e.stopPropagation();
						setTyped("");
					}
				}}
			/>
		</div>
	);
}

export function Loading({ what }: { what: string }) {
	return (
		<p class="loading" role="status">
			Loading {what}…
		</p>
	);
}
