/** A basin: its streams, its configuration, what it uses. */
import type { BasinConfig, StreamInfo } from "@s2-dev/streamstore";
import { useState } from "preact/hooks";
import { utf8 } from "../lib/bytes";
import { basin as basinOf, s2 } from "../lib/client";
import { basinForm, changes, problems, streamForm, streamLines, toNewStreamConfig, toStreamConfig } from "../lib/config";
import { type EntryPage, folderOf, listFolder } from "../lib/folders";
import { type Loaded, useAction, useLoad } from "../lib/load";
import { currentQuery, go, href, setQuery } from "../lib/route";
import { allows } from "../lib/session";
import { Lines, StreamFields } from "../ui/configform";
import { Crumbs } from "../ui/crumbs";
import { Icon } from "../ui/icons";
import { announce, Button, Check, Choice, Copy, Dialog, Empty, Failed, Link, Loading, Name, Pager, Search, SelectField, Tabs, TextField, When } from "../ui/kit";
import { Snippets } from "../ui/snippetsdialog";
import { DeleteBasin } from "./basindelete";
import { DeleteStream } from "./streamdelete";
import { BasinUsage } from "./usage";

const pageSize = 100;

export function BasinPage({ basin }: { basin: string }) {
	const query = currentQuery();
	const tab = query.get("tab") ?? "streams";
	const prefix = query.get("prefix") ?? "";
	const mayConfig = allows("get-basin-config", { basin });
	const config = useLoad(async (signal) => (mayConfig ? await s2().basins.getConfig({ basin }, { signal }) : undefined), [basin, mayConfig]);
	const [deleting, setDeleting] = useState(false);
	const tabs = [
		["streams", "Streams", true],
		["config", "Configuration", mayConfig],
		["usage", "Usage", allows("basin-metrics", { basin })],
	] as const;
	return (
		<>
			<Crumbs basin={basin} prefix={tab === "streams" ? prefix : ""} />
			<div class="page-head">
				<div class="title">
					<h1>
						<Name text={basin} />
					</h1>
					<Copy text={basin} label="Copy the name" />
				</div>
				<div class="actions">
					<Snippets route={{ page: "basin", basin }} tab={tab} />
					{allows("delete-basin", { basin }) && (
						<Button icon="trash" onClick={() => setDeleting(true)}>
							Delete
						</Button>
					)}
				</div>
			</div>
			<Tabs
				label="Views of the basin"
				current={tab}
				tabs={tabs.filter(([, , may]) => may).map(([id, text]) => [id, text, href({ page: "basin", basin }, { tab: id === "streams" ? undefined : id })] as const)}
			/>
			{config.error && <Failed error={config.error} retry={config.reload} />}
			{tab === "config" ? (
				<BasinConfiguration basin={basin} config={config} />
			) : tab === "usage" ? (
				<BasinUsage basin={basin} />
			) : (
				!config.error && <Streams basin={basin} config={config.data} />
			)}
			{deleting && <DeleteBasin basin={basin} onClose={() => setDeleting(false)} onDeleted={() => go(href({ page: "basins" }))} />}
		</>
	);
}

function Streams({ basin, config }: { basin: string; config: BasinConfig | undefined }) {
	const query = currentQuery();
	const prefix = query.get("prefix") ?? "";
	const after = query.get("after") ?? "";
	const flat = query.get("view") === "flat";
	const [creating, setCreating] = useState(false);
	const [deleting, setDeleting] = useState<string | null>(null);
	const list = useLoad<EntryPage>(
		async (signal) => {
			const get = (input: object) => basinOf(basin).streams.list(input, { signal });
			if (!flat) return await listFolder(get, prefix, after, pageSize);
			const page = await get({ ...(prefix && { prefix }), ...(after && { startAfter: after }), limit: pageSize });
			return {
				entries: page.streams.map((info) => ({ kind: "stream", info }) as const),
				next: page.hasMore ? page.streams.at(-1)?.name : undefined,
				read: page.streams.length,
			};
		},
		[basin, prefix, after, flat],
	);
	const entries = list.data?.entries ?? [];
	const nothing = list.data !== undefined && entries.length === 0;
	const mayCreate = allows("create-stream", { basin });
	const create = mayCreate && (
		<Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
			Create stream
		</Button>
	);
	const refused = list.error?.code === "permission_denied";
	return (
		<>
			{!(nothing && prefix === "" && after === "") && (
				<div class="toolbar">
					<Search
						label="Find by prefix"
						placeholder="Names that begin with…"
						value={prefix}
						onValue={(prefix) => setQuery({ prefix, after: undefined }, { replace: true })}
					/>
					<Choice
						label="Show names as"
						value={flat ? "flat" : "folders"}
						options={[["folders", "Folders"], ["flat", "All names"]]}
						onValue={(view) => setQuery({ view: view === "flat" ? view : undefined, after: undefined })}
					/>
					<span class="grow" />
					{create}
				</div>
			)}
			{refused && <OpenStream basin={basin} />}
			{list.error && !refused && <Failed error={list.error} retry={list.reload} />}
			{list.loading && !list.data && !list.error && <Loading what="streams" />}
			{nothing && prefix === "" && (
				<Empty icon="stream" title="There is no stream yet">
					<p>A stream is an ordered sequence of records.{config?.createStreamOnAppend ? " This basin also creates one when somebody appends to it." : ""}</p>
					{create}
				</Empty>
			)}
			{nothing && prefix !== "" && (
				<Empty icon="search" title="No stream begins so">
					<p>
						Nothing begins with <Name text={prefix} />.{" "}
						<Button kind="ghost" onClick={() => setQuery({ prefix: undefined, after: undefined })}>
							Show all streams
						</Button>
					</p>
				</Empty>
			)}
			{entries.length > 0 && (
				<>
					<div class="table-wrap">
						<table>
							<caption class="unseen">Streams</caption>
							<thead>
								<tr>
									<th scope="col">Name</th>
									<th scope="col" class="hide-small">Encryption</th>
									<th scope="col">Created</th>
									<th scope="col">
										<span class="unseen">Actions</span>
									</th>
								</tr>
							</thead>
							<tbody>
								{entries.map((entry) =>
									entry.kind === "folder" ? (
										<FolderRow key={`f${entry.prefix}`} basin={basin} folder={entry.prefix} within={prefix} />
									) : (
										<StreamRow key={`s${entry.info.name}`} basin={basin} info={entry.info} within={flat ? "" : prefix} onDelete={() => setDeleting(entry.info.name)} />
									),
								)}
							</tbody>
						</table>
					</div>
					<Pager
						what={flat ? "streams" : "entries"}
						shown={entries.length}
						first={after ? href({ page: "basin", basin }, { prefix, view: flat ? "flat" : undefined }) : undefined}
						next={list.data?.next !== undefined ? href({ page: "basin", basin }, { prefix, view: flat ? "flat" : undefined, after: list.data.next }) : undefined}
					/>
				</>
			)}
			{creating && <CreateStream basin={basin} config={config} prefix={folderStart(prefix)} onClose={() => setCreating(false)} />}
			{deleting !== null && (
				<DeleteStream
					basin={basin}
					stream={deleting}
					onClose={() => setDeleting(null)}
					onDeleted={() => {
						announce("The stream is being deleted");
						setDeleting(null);
						list.reload();
					}}
				/>
			)}
		</>
	);
}

/** The folder that one looks at: what stands before the last "/". */
function folderStart(prefix: string): string {
	return prefix.slice(0, prefix.lastIndexOf("/") + 1);
}

function FolderRow({ basin, folder, within }: { basin: string; folder: string; within: string }) {
	const short = folder.slice(folderStart(within).length);
	return (
		<tr>
			<th scope="row">
				<Link class="entry" to={href({ page: "basin", basin }, { prefix: folder })} aria-label={`Folder ${folder}`}>
					<Icon name="folder" /> <Name text={short} />
				</Link>
			</th>
			<td class="hide-small quiet">–</td>
			<td class="quiet">folder</td>
			<td class="tools" />
		</tr>
	);
}

function StreamRow({ basin, info, within, onDelete }: { basin: string; info: StreamInfo; within: string; onDelete: () => void }) {
	const short = info.name.slice(folderStart(within).length) || info.name;
	const going = Boolean(info.deletedAt);
	const names = { basin, stream: info.name };
	return (
		<tr>
			<th scope="row">
				{going ? (
					<span class="entry">
						<Icon name="stream" /> <Name text={short} /> <span class="tag warn">being deleted</span>
					</span>
				) : (
					<Link class="entry" to={href({ page: "stream", basin, stream: info.name })}>
						<Icon name="stream" /> <Name text={short} />
					</Link>
				)}
			</th>
			<td class="hide-small quiet">{info.cipher ?? "–"}</td>
			<td class="quiet">
				<When at={info.createdAt} />
			</td>
			<td class="tools">
				{!going && allows("get-stream-config", names) && (
					<Link class="button ghost bare hide-small" to={href({ page: "stream", basin, stream: info.name }, { tab: "config" })} aria-label={`Configure ${info.name}`}>
						Configure
					</Link>
				)}
				{!going && allows("delete-stream", names) && <Button kind="ghost" icon="trash" label={`Delete ${info.name}`} onClick={onDelete} />}
			</td>
		</tr>
	);
}

/** For tokens that may use streams and not list them. */
function OpenStream({ basin }: { basin: string }) {
	const [name, setName] = useState("");
	return (
		<form
			class="card"
			onSubmit={(e) => {
				e.preventDefault();
				if (name) go(href({ page: "stream", basin, stream: name }));
			}}
		>
			<p>Your access token does not list the streams of this basin. Open one by its name:</p>
			<div class="joined">
				<TextField label="Stream" mono value={name} onValue={setName} />
				<Button type="submit">Open</Button>
			</div>
		</form>
	);
}

function CreateStream({ basin, config, prefix, onClose }: { basin: string; config: BasinConfig | undefined; prefix: string; onClose: () => void }) {
	const [name, setName] = useState(prefix);
	const [form, setForm] = useState(() => streamForm(null));
	const create = useAction(async () => {
		const chosen = toNewStreamConfig(form);
		await basinOf(basin).streams.create({ stream: name, ...(Object.keys(chosen).length > 0 && { config: chosen }) });
		announce("The stream is created");
		go(href({ page: "stream", basin, stream: name }));
	});
	const wrong = name === "." || name === ".." ? "Not . or .." : utf8(name).length > 512 ? "At most 512 bytes." : name.includes("\0") ? "No NUL." : undefined;
	const usable = name !== "" && wrong === undefined && Object.keys(problems(form)).length === 0;
	const folder = folderOf(name, "");
	return (
		<Dialog title="Create stream" onClose={onClose}>
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
					placeholder="orders"
					value={name}
					onValue={setName}
					error={wrong}
					hint={folder ? "The console shows each / as a folder." : "Up to 512 bytes of UTF-8. With / in it, the console shows folders."}
				/>
				<details>
					<summary>Configuration</summary>
					<StreamFields form={form} onForm={setForm} inherited={streamLines(config?.defaultStreamConfig)} />
				</details>
				{config?.streamCipher && <p class="quiet">It will be encrypted with {config.streamCipher}; appends and reads need a key of yours.</p>}
				{create.error && <Failed error={create.error} />}
				<div class="actions">
					<Button onClick={onClose}>Cancel</Button>
					<Button kind="primary" type="submit" busy={create.busy} disabled={!usable}>
						Create stream
					</Button>
				</div>
			</form>
		</Dialog>
	);
}

function BasinConfiguration({ basin, config }: { basin: string; config: Loaded<BasinConfig | undefined> }) {
	const [editing, setEditing] = useState(false);
	if (!config.data) return config.error ? null : <Loading what="the configuration" />;
	const data = config.data;
	if (editing) {
		return (
			<EditBasin
				basin={basin}
				before={data}
				onCancel={() => setEditing(false)}
				onDone={() => {
					setEditing(false);
					config.reload();
				}}
			/>
		);
	}
	const own = [
		{ name: "Create streams on append", value: data.createStreamOnAppend ? "yes" : "no", inherited: false },
		{ name: "Create streams on read", value: data.createStreamOnRead ? "yes" : "no", inherited: false },
		{ name: "Encryption of new streams", value: data.streamCipher ?? "none", inherited: false },
	];
	return (
		<div class="card narrow">
			<h2>The basin</h2>
			<Lines lines={own} from="the default" />
			<h2>New streams</h2>
			<Lines lines={streamLines(data.defaultStreamConfig)} from="the default" />
			<p class="quiet">Streams that exist keep what they have.</p>
			{allows("reconfigure-basin", { basin }) && (
				<div class="actions">
					<Button icon="edit" onClick={() => setEditing(true)}>
						Edit
					</Button>
				</div>
			)}
		</div>
	);
}

function EditBasin({ basin, before, onDone, onCancel }: { basin: string; before: BasinConfig; onDone: () => void; onCancel: () => void }) {
	const [form, setForm] = useState(() => basinForm(before));
	const save = useAction(async () => {
		const was = basinForm(before);
		const stream = changes(toStreamConfig(was.stream), toStreamConfig(form.stream));
		await s2().basins.reconfigure({
			basin,
			...(form.createOnAppend !== was.createOnAppend && { createStreamOnAppend: form.createOnAppend }),
			...(form.createOnRead !== was.createOnRead && { createStreamOnRead: form.createOnRead }),
			...(form.cipher !== was.cipher && { streamCipher: form.cipher || null }),
			...(Object.keys(stream).length > 0 && { defaultStreamConfig: stream }),
		});
		announce("The configuration is changed");
		onDone();
	});
	const usable = Object.keys(problems(form.stream)).length === 0;
	return (
		<form
			class="card narrow"
			onSubmit={(e) => {
				e.preventDefault();
				if (usable) save.run();
			}}
		>
			<h2>The basin</h2>
			<Check label="Create streams on append" checked={form.createOnAppend} onChecked={(createOnAppend) => setForm({ ...form, createOnAppend })} />
			<Check label="Create streams on read" checked={form.createOnRead} onChecked={(createOnRead) => setForm({ ...form, createOnRead })} />
			<SelectField
				label="Encryption of new streams"
				value={form.cipher}
				onValue={(cipher) => setForm({ ...form, cipher })}
				options={[["", "none"], ["aegis-256", "AEGIS-256"], ["aes-256-gcm", "AES-256-GCM"]]}
			/>
			<h2>New streams</h2>
			<StreamFields form={form.stream} onForm={(stream) => setForm({ ...form, stream })} inherited={streamLines(null)} />
			{save.error && <Failed error={save.error} />}
			<div class="actions">
				<Button onClick={onCancel}>Cancel</Button>
				<Button kind="primary" type="submit" busy={save.busy} disabled={!usable}>
					Save
				</Button>
			</div>
		</form>
	);
}
