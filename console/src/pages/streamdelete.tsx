import { basin as basinOf } from "../lib/client";
import { useAction } from "../lib/load";
import { ConfirmByName } from "../ui/kit";

/** Deletes a stream with its records, once its name was typed. */
export function DeleteStream({ basin, stream, onClose, onDeleted }: { basin: string; stream: string; onClose: () => void; onDeleted: () => void }) {
	const remove = useAction(async () => {
		await basinOf(basin).streams.delete({ stream });
		onDeleted();
	});
	return (
		<ConfirmByName title="Delete stream" what="stream" name={stream} action="Delete stream" busy={remove.busy} error={remove.error} onConfirm={() => remove.run()} onClose={onClose}>
			<p>All its records go, and whoever follows it is told so. This cannot be undone.</p>
		</ConfirmByName>
	);
}
