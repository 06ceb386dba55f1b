/** The fields of a stream's configuration, and how a configuration is shown. */
import { type Line, problems, type StreamForm } from "../lib/config";
import { Field, SelectField, TextField } from "./kit";

const unitOptions = [
	["days", "days"],
	["hours", "hours"],
	["minutes", "minutes"],
	["seconds", "seconds"],
] as const;

/** inherited says for each field what applies where the form says nothing. */
export function StreamFields({ form, onForm, inherited }: { form: StreamForm; onForm: (form: StreamForm) => void; inherited: Line[] }) {
	const set = (change: Partial<StreamForm>) => onForm({ ...form, ...change });
	const wrong = problems(form);
	const otherwise = (i: number) => `Inherited: ${inherited[i]?.value ?? ""}`;
	return (
		<div class="pair">
			<SelectField
				label="Storage class"
				value={form.storageClass}
				onValue={(storageClass) => set({ storageClass })}
				options={[["", otherwise(0)], ["express", "express"], ["standard", "standard"]]}
			/>
			<div class="field">
				<SelectField
					label="Retention"
					value={form.retention}
					onValue={(retention) => set({ retention })}
					options={[["", otherwise(1)], ["age", "for a time"], ["infinite", "until trimmed"]]}
				/>
				{form.retention === "age" && (
					<Amount label="Keep records for" n={form.age} unit={form.ageUnit} error={wrong.age} onAmount={(age, ageUnit) => set({ age, ageUnit })} />
				)}
			</div>
			<SelectField
				label="Timestamps"
				value={form.mode}
				onValue={(mode) => set({ mode })}
				options={[
					["", otherwise(2)],
					["client-prefer", "client’s if given, else arrival"],
					["client-require", "client’s, required"],
					["arrival", "arrival"],
				]}
			/>
			<SelectField
				label="Timestamps later than arrival"
				value={form.uncapped}
				onValue={(uncapped) => set({ uncapped })}
				options={[["", otherwise(3)], ["no", "no: capped at arrival"], ["yes", "yes: uncapped"]]}
			/>
			<div class="field">
				<SelectField
					label="Delete when empty"
					value={form.deleteOnEmpty}
					onValue={(deleteOnEmpty) => set({ deleteOnEmpty })}
					options={[["", otherwise(4)], ["never", "never"], ["after", "after a time"]]}
				/>
				{form.deleteOnEmpty === "after" && (
					<Amount label="Empty for" n={form.minAge} unit={form.minAgeUnit} error={wrong.minAge} onAmount={(minAge, minAgeUnit) => set({ minAge, minAgeUnit })} />
				)}
			</div>
			<div class="field">
				<SelectField
					label="Expires, with all records"
					value={form.expiry}
					onValue={(expiry) => set({ expiry })}
					options={[
						["", otherwise(5)],
						["never", "never"],
						["idle", "when not used for a time"],
						...(form.expiresAt === "" ? [] : ([["at", `at ${form.expiresAt}`]] as const)),
					]}
				/>
				{form.expiry === "idle" && (
					<Amount label="Not used for" n={form.idle} unit={form.idleUnit} error={wrong.idle} onAmount={(idle, idleUnit) => set({ idle, idleUnit })} />
				)}
			</div>
			<TextField
				label="Content type"
				hint="For Durable Streams, such as application/json."
				placeholder={otherwise(6)}
				value={form.contentType}
				error={wrong.contentType}
				onValue={(contentType) => set({ contentType })}
			/>
		</div>
	);
}

type Unit = StreamForm["ageUnit"];

function Amount({ label, n, unit, error, onAmount }: { label: string; n: string; unit: Unit; error: string | undefined; onAmount: (n: string, unit: Unit) => void }) {
	return (
		<Field label={label} error={error}>
			{(control) => (
				<div class="amount">
					<input {...control} inputMode="decimal" size={8} value={n} onInput={(e) => onAmount(e.currentTarget.value, unit)} />
					<select aria-label={`Unit of: ${label}`} value={unit} onChange={(e) => onAmount(n, e.currentTarget.value as Unit)}>
						{unitOptions.map(([value, text]) => (
							<option key={value} value={value}>
								{text}
							</option>
						))}
					</select>
				</div>
			)}
		</Field>
	);
}

/** A configuration, value by value. from says where inherited values come from. */
export function Lines({ lines, from }: { lines: Line[]; from: string }) {
	return (
		<dl class="lines">
			{lines.map((line) => (
				<div key={line.name}>
					<dt>{line.name}</dt>
					<dd>
						{line.value} {line.inherited && <span class="tag">inherited from {from}</span>}
					</dd>
				</div>
			))}
		</dl>
	);
}
