/** The configuration of a stream: what is in force, and changing it. */
import { useState } from "preact/hooks";
import { basin as basinOf } from "../lib/client";
import { changes, problems, type StreamConfig, streamForm, streamLines, toStreamConfig } from "../lib/config";
import { type Loaded, useAction, useLoad } from "../lib/load";
import { allows } from "../lib/session";
import { s2 } from "../lib/client";
import { Lines, StreamFields } from "../ui/configform";
import { announce, Button, Failed, Loading } from "../ui/kit";

export function StreamConfigPage({ basin, stream, config }: { basin: string; stream: string; config: Loaded<StreamConfig | undefined> }) {
	const [editing, setEditing] = useState(false);
	if (config.error && !config.data) return <Failed error={config.error} retry={config.reload} />;
	if (!config.data) return <Loading what="the configuration" />;
	return (
		<div class="card narrow">
			{editing ? (
				<Edit basin={basin} stream={stream} before={config.data} onDone={() => { setEditing(false); config.reload(); }} onCancel={() => setEditing(false)} />
			) : (
				<>
					<Lines lines={streamLines(config.data)} from="the default" />
					<p class="quiet">
						These are the values in force. Each is the stream’s own or was taken from its basin when the stream was created or last changed.
					</p>
					{allows("reconfigure-stream", { basin, stream }) && (
						<div class="actions">
							<Button icon="edit" onClick={() => setEditing(true)}>
								Edit
							</Button>
						</div>
					)}
				</>
			)}
		</div>
	);
}

function Edit({ basin, stream, before, onDone, onCancel }: { basin: string; stream: string; before: StreamConfig; onDone: () => void; onCancel: () => void }) {
	const [form, setForm] = useState(() => streamForm(before));
	const mayBasin = allows("get-basin-config", { basin });
	const parent = useLoad(async (signal) => (mayBasin ? await s2().basins.getConfig({ basin }, { signal }) : undefined), [basin, mayBasin]);
	const save = useAction(async () => {
		const change = changes(toStreamConfig(streamForm(before)), toStreamConfig(form));
		await basinOf(basin).streams.reconfigure({ stream, ...change });
		announce("The configuration is changed");
		onDone();
	});
	const usable = Object.keys(problems(form)).length === 0;
	return (
		<form
			onSubmit={(e) => {
				e.preventDefault();
				if (usable) save.run();
			}}
		>
			<StreamFields form={form} onForm={setForm} inherited={streamLines(parent.data?.defaultStreamConfig)} />
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
