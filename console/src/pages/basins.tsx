/** The basins of the account. */
import type { BasinInfo } from "@s2-dev/streamstore";
import { useState } from "preact/hooks";
import { s2 } from "../lib/client";
import { basinForm, type BasinForm, problems, streamLines, toNewStreamConfig } from "../lib/config";
import { useAction, useLoad } from "../lib/load";
import { currentQuery, go, href, setQuery } from "../lib/route";
import { allows } from "../lib/session";
import { StreamFields } from "../ui/configform";
import { announce, Button, Check, Dialog, Empty, Failed, Link, Loading, Name, Pager, Search, SelectField, TextField, When } from "../ui/kit";
import { Snippets } from "../ui/snippetsdialog";
import { DeleteBasin } from "./basindelete";

const pageSize = 100;

export function Basins() {
	const query = currentQuery();
	const prefix = query.get("prefix") ?? "";
	const after = query.get("after") ?? "";
	const mayList = allows("list-basins");
	const list = useLoad(
		(signal) => s2().basins.list({ ...(prefix && { prefix }), ...(after && { startAfter: after }), limit: pageSize }, { signal }),
		[prefix, after],
	);
	const [creating, setCreating] = useState(false);
	const [deleting, setDeleting] = useState<string | null>(null);
	const basins = list.data?.basins ?? [];
	const last = basins.at(-1);
	const mayCreate = allows("create-basin");
	const nothing = list.data !== undefined && basins.length === 0;
	return (
		<>
			<div class="page-head">
				<div>
					<h1>Basins</h1>
					<p class="lead">A basin holds streams, and says how new ones are configured.</p>
				</div>
				<div class="actions">
					<Snippets route={{ page: "basins" }} />
					{mayCreate && (
						<Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
							Create basin
						</Button>
					)}
				</div>
			</div>
			{(!nothing || prefix !== "") && (
				<div class="toolbar">
					<Search
						label="Find by prefix"
						placeholder="Names that begin with…"
						value={prefix}
						onValue={(prefix) => setQuery({ prefix, after: undefined }, { replace: true })}
					/>
				</div>
			)}
			{list.error && (list.error.code === "permission_denied" && !mayList ? <OpenByName /> : <Failed error={list.error} retry={list.reload} />)}
			{list.loading && !list.data && !list.error && <Loading what="basins" />}
			{nothing && prefix === "" && (
				<Empty icon="basins" title="There is no basin yet">
					<p>Streams live in basins. Create one to begin: for a service, a team or a tenant. It costs nothing.</p>
					{mayCreate && (
						<Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
							Create basin
						</Button>
					)}
				</Empty>
			)}
			{nothing && prefix !== "" && (
				<Empty icon="search" title="No basin begins so">
					<p>
						Nothing begins with <Name text={prefix} />. <Button kind="ghost" onClick={() => setQuery({ prefix: undefined, after: undefined })}>Show all basins</Button>
					</p>
				</Empty>
			)}
			{basins.length > 0 && (
				<>
					<div class="table-wrap">
						<table>
							<caption class="unseen">Basins</caption>
							<thead>
								<tr>
									<th scope="col">Name</th>
									<th scope="col" class="hide-small">Location</th>
									<th scope="col">Created</th>
									<th scope="col">
										<span class="unseen">Actions</span>
									</th>
								</tr>
							</thead>
							<tbody>
								{basins.map((basin) => (
									<Row key={basin.name} basin={basin} onDelete={() => setDeleting(basin.name)} />
								))}
							</tbody>
						</table>
					</div>
					<Pager
						what="basins"
						shown={basins.length}
						first={after ? href({ page: "basins" }, { prefix }) : undefined}
						next={list.data?.hasMore && last ? href({ page: "basins" }, { prefix, after: last.name }) : undefined}
					/>
				</>
			)}
			{creating && <CreateBasin onClose={() => setCreating(false)} />}
			{deleting !== null && (
				<DeleteBasin
					basin={deleting}
					onClose={() => setDeleting(null)}
					onDeleted={() => {
						setDeleting(null);
						list.reload();
					}}
				/>
			)}
		</>
	);
}

function Row({ basin, onDelete }: { basin: BasinInfo; onDelete: () => void }) {
	const going = Boolean(basin.deletedAt);
	return (
		<tr>
			<th scope="row">
				{going ? <Name text={basin.name} /> : (
					<Link to={href({ page: "basin", basin: basin.name })}>
						<Name text={basin.name} />
					</Link>
				)}{" "}
				{going && <span class="tag warn">being deleted</span>}
			</th>
			<td class="hide-small quiet">{basin.location ?? "–"}</td>
			<td class="quiet">
				<When at={basin.createdAt} />
			</td>
			<td class="tools">
				{!going && allows("get-basin-config", { basin: basin.name }) && (
					<Link class="button ghost bare hide-small" to={href({ page: "basin", basin: basin.name }, { tab: "config" })} aria-label={`Configure ${basin.name}`}>
						Configure
					</Link>
				)}
				{!going && allows("delete-basin", { basin: basin.name }) && (
					<Button kind="ghost" icon="trash" label={`Delete ${basin.name}`} onClick={onDelete} />
				)}
			</td>
		</tr>
	);
}

/** For tokens that may use basins and not list them. */
function OpenByName() {
	const [name, setName] = useState("");
	return (
		<form
			class="card"
			onSubmit={(e) => {
				e.preventDefault();
				if (name) go(href({ page: "basin", basin: name.trim() }));
			}}
		>
			<p>Your access token does not list basins. Open one by its name:</p>
			<div class="joined">
				<TextField label="Basin" mono value={name} onValue={setName} />
				<Button type="submit">Open</Button>
			</div>
		</form>
	);
}

const valid = /^[a-z0-9][a-z0-9-]{6,46}[a-z0-9]$/;

/** Why the name cannot be a basin's; undefined if it can, or nothing was typed yet. */
function nameProblem(name: string): string | undefined {
	if (name === "" || valid.test(name)) return undefined;
	if (/[^a-z0-9-]/.test(name)) return "Only a to z, 0 to 9 and hyphens.";
	if (name.length < 8) return `At least 8 characters: ${8 - name.length} more.`;
	if (name.length > 48) return "At most 48 characters.";
	return "It begins and ends with a letter or a digit.";
}

function CreateBasin({ onClose }: { onClose: () => void }) {
	const [name, setName] = useState("");
	const [form, setForm] = useState<BasinForm>({ ...basinForm(null), createOnAppend: true });
	const [location, setLocation] = useState("");
	const mayLocate = allows("list-locations");
	const locations = useLoad(async (signal) => (mayLocate ? await s2().locations.list({ signal }) : []), [mayLocate]);
	const create = useAction(async () => {
		const stream = toNewStreamConfig(form.stream);
		await s2().basins.create({
			basin: name,
			config: {
				createStreamOnAppend: form.createOnAppend,
				createStreamOnRead: form.createOnRead,
				...(Object.keys(stream).length > 0 && { defaultStreamConfig: stream }),
				...(form.cipher && { streamCipher: form.cipher }),
			},
			...(location && { location }),
		});
		announce(`Basin ${name} is created`);
		go(href({ page: "basin", basin: name }));
	});
	const wrong = nameProblem(name);
	const usable = valid.test(name) && Object.keys(problems(form.stream)).length === 0;
	return (
		<Dialog title="Create basin" onClose={onClose}>
			<form
				onSubmit={(e) => {
					e.preventDefault();
					if (usable) create.run();
				}}
			>
				<TextField
					label="Name"
					mono
					autofocus
					placeholder="my-first-basin"
					value={name}
					onValue={setName}
					error={wrong}
					hint="8 to 48 of a–z, 0–9 and hyphens. It cannot be changed later."
				/>
				<Check
					label="Create streams on append"
					hint="An append to a stream that does not exist creates it."
					checked={form.createOnAppend}
					onChecked={(createOnAppend) => setForm({ ...form, createOnAppend })}
				/>
				<Check
					label="Create streams on read"
					hint="So does a read, which is for consumers that come first."
					checked={form.createOnRead}
					onChecked={(createOnRead) => setForm({ ...form, createOnRead })}
				/>
				<details>
					<summary>Configuration of new streams, encryption, location</summary>
					<div class="stack">
						<StreamFields form={form.stream} onForm={(stream) => setForm({ ...form, stream })} inherited={streamLines(null)} />
						<div class="pair">
							<SelectField
								label="Encryption of new streams"
								value={form.cipher}
								onValue={(cipher) => setForm({ ...form, cipher })}
								options={[["", "none"], ["aegis-256", "AEGIS-256"], ["aes-256-gcm", "AES-256-GCM"]]}
								hint="With a key that clients bring to each append and read."
							/>
							{(locations.data?.length ?? 0) > 1 && (
								<SelectField
									label="Location"
									value={location}
									onValue={setLocation}
									options={[["", "the default"], ...(locations.data ?? []).map((l) => [l.name, l.name] as const)]}
								/>
							)}
						</div>
					</div>
				</details>
				{create.error && <Failed error={create.error} />}
				<div class="actions">
					<Button onClick={onClose}>Cancel</Button>
					<Button kind="primary" type="submit" busy={create.busy} disabled={!usable}>
						Create basin
					</Button>
				</div>
			</form>
		</Dialog>
	);
}
