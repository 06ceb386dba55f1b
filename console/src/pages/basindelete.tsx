import { s2 } from "../lib/client";
import { useAction } from "../lib/load";
import { announce, ConfirmByName } from "../ui/kit";

/** Deletes a basin with all that is in it, once its name was typed. */
export function DeleteBasin({ basin, onClose, onDeleted }: { basin: string; onClose: () => void; onDeleted: () => void }) {
	const remove = useAction(async () => {
		await s2().basins.delete({ basin });
		announce(`Basin ${basin} is being deleted`);
		onDeleted();
	});
	return (
		<ConfirmByName title="Delete basin" what="basin" name={basin} action="Delete basin" busy={remove.busy} error={remove.error} onConfirm={() => remove.run()} onClose={onClose}>
			<p>
				All its streams and their records go with it, and it takes no new ones from now on. This cannot be undone.
			</p>
		</ConfirmByName>
	);
}
