/** Access tokens: who may do what. */
import type { AccessTokenInfo } from "@s2-dev/streamstore";
import { useState } from "preact/hooks";
import { utf8 } from "../lib/bytes";
import { s2 } from "../lib/client";
import { fromInput, localExact, toInput } from "../lib/format";
import { useAction, useLoad } from "../lib/load";
import { currentQuery, href, setQuery } from "../lib/route";
import { allows, type Group, type Operation, operations, type ReadWrite, type ResourceSet, session } from "../lib/session";
import { announce, Button, Check, ConfirmByName, Copy, Dialog, Empty, Failed, Field, Loading, Name, Notice, Pager, Search, SelectField, TextField, When } from "../ui/kit";
import { Snippets } from "../ui/snippetsdialog";

const pageSize = 100;

export function Tokens() {
	const query = currentQuery();
	const prefix = query.get("prefix") ?? "";
	const after = query.get("after") ?? "";
	const may = allows("list-access-tokens");
	const list = useLoad(
		async (signal) => (may ? await s2().accessTokens.list({ ...(prefix && { prefix }), ...(after && { startAfter: after }), limit: pageSize }, { signal }) : undefined),
		[prefix, after, may],
	);
	const [issuing, setIssuing] = useState(false);
	const [revoking, setRevoking] = useState<string | null>(null);
	const tokens = list.data?.accessTokens ?? [];
	const last = tokens.at(-1);
	const mayIssue = allows("issue-access-token");
	const issue = mayIssue && (
		<Button kind="primary" icon="plus" onClick={() => setIssuing(true)}>
			Issue a token
		</Button>
	);
	return (
		<>
			<div class="page-head">
				<div>
					<h1>Access tokens</h1>
					<p class="lead">A token is a secret that lets its holder do what its scope says, until it expires or is revoked.</p>
				</div>
				<div class="actions">
					<Snippets route={{ page: "tokens" }} />
					{issue}
				</div>
			</div>
			{session.value && !session.value.checked && (
				<Notice kind="warn" title="This broker checks nothing: it has no root token.">
					<p>
						Tokens can be issued, and mean something once it is started with one (<code>--root-token-file</code>).
					</p>
				</Notice>
			)}
			{!may && <p class="quiet">Your access token issues tokens and does not list them.</p>}
			{(tokens.length > 0 || prefix !== "" || after !== "") && (
				<div class="toolbar">
					<Search label="Find by prefix" placeholder="Ids that begin with…" value={prefix} onValue={(prefix) => setQuery({ prefix, after: undefined }, { replace: true })} />
				</div>
			)}
			{list.error && <Failed error={list.error} retry={list.reload} />}
			{may && list.loading && !list.data && !list.error && <Loading what="access tokens" />}
			{list.data && tokens.length === 0 && (
				<Empty icon="tokens" title={prefix === "" ? "There is no access token yet" : "No token’s id begins so"}>
					{prefix === "" ? (
						<>
							<p>Issue one for each service or person, with no more than they need.</p>
							{issue}
						</>
					) : (
						<Button kind="ghost" onClick={() => setQuery({ prefix: undefined, after: undefined })}>
							Show all tokens
						</Button>
					)}
				</Empty>
			)}
			{tokens.length > 0 && (
				<>
					<div class="table-wrap">
						<table>
							<caption class="unseen">Access tokens</caption>
							<thead>
								<tr>
									<th scope="col">Id</th>
									<th scope="col">Expires</th>
									<th scope="col" class="hide-small">Basins</th>
									<th scope="col" class="hide-small">Streams</th>
									<th scope="col" class="hide-small">Operations</th>
									<th scope="col">
										<span class="unseen">Actions</span>
									</th>
								</tr>
							</thead>
							<tbody>
								{tokens.map((token) => (
									<Row key={token.id} token={token} onRevoke={() => setRevoking(token.id)} />
								))}
							</tbody>
						</table>
					</div>
					<Pager
						what="tokens"
						shown={tokens.length}
						first={after ? href({ page: "tokens" }, { prefix }) : undefined}
						next={list.data?.hasMore && last ? href({ page: "tokens" }, { prefix, after: last.id }) : undefined}
					/>
				</>
			)}
			{issuing && <Issue onClose={() => setIssuing(false)} onIssued={list.reload} />}
			{revoking !== null && (
				<Revoke
					id={revoking}
					onClose={() => setRevoking(null)}
					onRevoked={() => {
						setRevoking(null);
						list.reload();
					}}
				/>
			)}
		</>
	);
}

function setText(set: ResourceSet | undefined): string {
	if (!set) return "none";
	if ("exact" in set) return set.exact === "" ? "none" : set.exact;
	return set.prefix === "" ? "all" : `${set.prefix}…`;
}

/** The operations of a scope in few words. */
export function opsText(groups: { account?: ReadWrite; basin?: ReadWrite; stream?: ReadWrite } | null | undefined, ops: readonly string[] | null | undefined): string {
	const out: string[] = [];
	for (const group of ["account", "basin", "stream"] as const) {
		const g = groups?.[group];
		const half = `${g?.read ? "r" : ""}${g?.write ? "w" : ""}`;
		if (half !== "") out.push(`${group} ${half}`);
	}
	return [...out, ...(ops ?? [])].join(", ") || "none";
}

function Row({ token, onRevoke }: { token: AccessTokenInfo; onRevoke: () => void }) {
	const { scope, expiresAt } = token;
	const over = expiresAt ? expiresAt.getTime() <= Date.now() : false;
	return (
		<tr>
			<th scope="row">
				<Name text={token.id} /> {token.id === session.value?.token.id && session.value.checked && <span class="tag">yours</span>}{" "}
				{(token as { unconfirmed?: boolean }).unconfirmed && (
					<span class="tag warn" title="It was issued while the broker checked nothing, and opens nothing where it does until it is confirmed: weir confirm-access-token">
						unconfirmed
					</span>
				)}
			</th>
			<td class="quiet">{expiresAt ? over ? <span class="tag warn">expired</span> : <When at={expiresAt} /> : "never"}</td>
			<td class="hide-small">
				<Name text={setText(scope.basins)} />
			</td>
			<td class="hide-small">
				<Name text={setText(scope.streams)} /> {token.autoPrefixStreams && <span class="tag">prefix added</span>}
			</td>
			<td class="hide-small">{opsText(scope.opGroups, scope.ops)}</td>
			<td class="tools">
				{token.id !== "root" && allows("revoke-access-token", { token: token.id }) && (
					<Button kind="ghost" onClick={onRevoke} label={`Revoke ${token.id}`}>
						Revoke
					</Button>
				)}
			</td>
		</tr>
	);
}

function Revoke({ id, onClose, onRevoked }: { id: string; onClose: () => void; onRevoked: () => void }) {
	const revoke = useAction(async () => {
		await s2().accessTokens.revoke({ id });
		announce("The token is revoked");
		onRevoked();
	});
	return (
		<ConfirmByName title="Revoke the token" what="token" name={id} action="Revoke" busy={revoke.busy} error={revoke.error} onConfirm={() => revoke.run()} onClose={onClose}>
			<p>It opens nothing from then on, and what it has open ends. Tokens that it has issued live on.</p>
		</ConfirmByName>
	);
}

type SetForm = { kind: "none" | "all" | "prefix" | "exact"; text: string };

function toSet(form: SetForm): { exact: string } | { prefix: string } | null {
	switch (form.kind) {
		case "none":
			return null;
		case "all":
			return { prefix: "" };
		case "prefix":
			return { prefix: form.text };
		case "exact":
			return { exact: form.text };
	}
}

const groupNames: Record<Group, string> = { account: "Account", basin: "Basins", stream: "Streams" };

function Issue({ onClose, onIssued }: { onClose: () => void; onIssued: () => void }) {
	const [id, setId] = useState("");
	const [expiry, setExpiry] = useState<"never" | "1" | "7" | "30" | "90" | "date">("30");
	const [date, setDate] = useState(() => toInput(Date.now() + 30 * 86_400_000, false).slice(0, 16));
	const [basins, setBasins] = useState<SetForm>({ kind: "all", text: "" });
	const [streams, setStreams] = useState<SetForm>({ kind: "all", text: "" });
	const [tokens, setTokens] = useState<SetForm>({ kind: "none", text: "" });
	const [auto, setAuto] = useState(false);
	const [groups, setGroups] = useState<Record<Group, { read: boolean; write: boolean }>>({
		account: { read: false, write: false },
		basin: { read: true, write: false },
		stream: { read: true, write: false },
	});
	const [ops, setOps] = useState<ReadonlySet<Operation>>(new Set());
	const [secret, setSecret] = useState<string | undefined>();
	const issue = useAction(async () => {
		const { accessToken } = await s2().accessTokens.issue({
			id,
			autoPrefixStreams: auto,
			...(expiresAt !== undefined && { expiresAt: new Date(expiresAt) }),
			scope: { basins: toSet(basins), streams: toSet(streams), accessTokens: toSet(tokens), opGroups: groups, ops: [...ops] },
		});
		setSecret(accessToken);
		onIssued();
	});
	const expiresAt = expiry === "never" ? undefined : expiry === "date" ? fromInput(date, false) : Date.now() + Number(expiry) * 86_400_000;
	const nothing = ops.size === 0 && (Object.keys(groups) as Group[]).every((g) => !groups[g].read && !groups[g].write);
	const wrong = {
		id: utf8(id).length > 96 ? "At most 96 bytes." : id === "." || id === ".." ? "Not . or .." : undefined,
		date: expiresAt !== undefined && !(expiresAt > Date.now()) ? "In the future." : undefined,
	};
	const incomplete = [basins, streams, tokens].some((set) => (set.kind === "prefix" || set.kind === "exact") && set.text === "");
	const usable = id !== "" && !wrong.id && !wrong.date && !nothing && !incomplete && !(auto && streams.kind !== "prefix");
	if (secret !== undefined) return <Secret id={id} secret={secret} onClose={onClose} />;
	const inherited = session.value?.token;
	return (
		<Dialog title="Issue an access token" onClose={onClose} wide>
			<form
				onSubmit={(e) => {
					e.preventDefault();
					if (usable) issue.run();
				}}
			>
				<div class="pair">
					<TextField label="Id" mono autofocus placeholder="orders-service" value={id} onValue={setId} error={wrong.id} hint="What you call it; the list and the log show it." />
					<div class="field">
						<SelectField
							label="Expires"
							value={expiry}
							onValue={setExpiry}
							options={[["1", "in a day"], ["7", "in 7 days"], ["30", "in 30 days"], ["90", "in 90 days"], ["date", "at a date"], ["never", inherited?.expires_at ? "with your token" : "never"]]}
						/>
						{expiry === "date" && (
							<Field label="Date (local time)" error={wrong.date}>
								{(control) => <input {...control} type="datetime-local" value={date} onInput={(e) => setDate(e.currentTarget.value)} />}
							</Field>
						)}
						{expiresAt !== undefined && expiry !== "date" && <p class="hint">{localExact(expiresAt).slice(0, 16)} local time</p>}
					</div>
				</div>
				<div class="pair">
					<SetField label="Basins" form={basins} onForm={setBasins} />
					<SetField label="Streams" form={streams} onForm={setStreams} />
					<SetField label="Access tokens" form={tokens} onForm={setTokens} />
				</div>
				<Check
					label="Put the streams’ prefix before every name"
					hint="Its holder uses and sees names without the prefix: a space of its own for a tenant. It needs streams by a prefix."
					checked={auto}
					disabled={streams.kind !== "prefix"}
					onChecked={setAuto}
				/>
				<fieldset class="stack tight">
					<legend>Operations</legend>
					<div class="table-wrap flat">
						<table class="groups">
							<thead>
								<tr>
									<th scope="col">On</th>
									<th scope="col">Read</th>
									<th scope="col">Write</th>
								</tr>
							</thead>
							<tbody>
								{(Object.keys(operations) as Group[]).map((group) => (
									<tr key={group}>
										<th scope="row">{groupNames[group]}</th>
										{(["read", "write"] as const).map((half) => (
											<td key={half}>
												<label class="box">
													<input
														type="checkbox"
														aria-label={`${groupNames[group]}: ${half}`}
														checked={groups[group][half]}
														onChange={(e) => setGroups({ ...groups, [group]: { ...groups[group], [half]: e.currentTarget.checked } })}
													/>
													<span class="quiet">{operations[group][half].join(", ")}</span>
												</label>
											</td>
										))}
									</tr>
								))}
							</tbody>
						</table>
					</div>
				</fieldset>
				<details>
					<summary>Single operations</summary>
					<div class="ops">
						{(Object.keys(operations) as Group[]).map((group) => (
							<fieldset key={group} class="stack tight">
								<legend>{groupNames[group]}</legend>
								{(["read", "write"] as const).flatMap((half) =>
									operations[group][half].map((op) => (
										<Check
											key={op}
											label={<code>{op}</code>}
											checked={groups[group][half] || ops.has(op)}
											disabled={groups[group][half]}
											onChecked={(on) => {
												const next = new Set(ops);
												if (on) next.add(op);
												else next.delete(op);
												setOps(next);
											}}
										/>
									)),
								)}
							</fieldset>
						))}
					</div>
				</details>
				{nothing && <p class="hint bad">It would allow nothing: choose at least one operation.</p>}
				{issue.error && <Failed error={issue.error} />}
				<div class="actions">
					<Button onClick={onClose}>Cancel</Button>
					<Button kind="primary" type="submit" busy={issue.busy} disabled={!usable}>
						Issue the token
					</Button>
				</div>
			</form>
		</Dialog>
	);
}

function SetField({ label, form, onForm }: { label: string; form: SetForm; onForm: (form: SetForm) => void }) {
	return (
		<div class="field">
			<SelectField
				label={label}
				value={form.kind}
				onValue={(kind) => onForm({ ...form, kind })}
				options={[["none", "none"], ["all", "all"], ["prefix", "names that begin with"], ["exact", "the one named"]]}
			/>
			{(form.kind === "prefix" || form.kind === "exact") && (
				<input
					class="mono"
					aria-label={`${label}: ${form.kind === "prefix" ? "prefix" : "name"}`}
					placeholder={form.kind === "prefix" ? "prefix" : "name"}
					value={form.text}
					onInput={(e) => onForm({ ...form, text: e.currentTarget.value })}
				/>
			)}
		</div>
	);
}

/** The secret, told this once. */
function Secret({ id, secret, onClose }: { id: string; secret: string; onClose: () => void }) {
	const [kept, setKept] = useState<"no" | "yes">("no");
	return (
		<Dialog title={<>The secret of <Name text={id} /></>} onClose={() => kept === "yes" && onClose()}>
			<Notice kind="warn" title="This is the only time that it is shown.">
				<p>The broker keeps a hash of it, nothing more. Copy it to where it will be used.</p>
			</Notice>
			<div class="snippet">
				<pre class="block secret" tabIndex={0} aria-label="The secret">{secret}</pre>
				<Copy text={secret} label="Copy the secret" />
			</div>
			<Check label="I have kept it" hint="Then this can be closed." checked={kept === "yes"} onChecked={(on) => setKept(on ? "yes" : "no")} />
			<div class="actions">
				<Button kind="primary" disabled={kept !== "yes"} onClick={onClose}>
					Done
				</Button>
			</div>
		</Dialog>
	);
}
