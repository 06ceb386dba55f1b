import { href } from "../lib/route";
import { Link, Name } from "./kit";

/** Where one is: the basin, the folders of a stream's name, each a way back. */
export function Crumbs({ basin, stream, prefix = "" }: { basin: string; stream?: string; prefix?: string }) {
	const folders = foldersOf(stream ?? prefix);
	return (
		<nav class="crumbs" aria-label="Where you are">
			<ol>
				<li>
					<Link to={href({ page: "basins" })}>Basins</Link>
				</li>
				{(stream !== undefined || folders.length > 0) && (
					<li>
						<Link to={href({ page: "basin", basin })}>{basin}</Link>
					</li>
				)}
				{folders.map((folder) => (
					<li key={folder}>
						<Link to={href({ page: "basin", basin }, { prefix: folder })}>
							<Name text={folder.slice(folder.lastIndexOf("/", folder.length - 2) + 1, -1) || "(empty)"} mono={false} />
						</Link>
					</li>
				))}
			</ol>
		</nav>
	);
}

/** The folders that a name is in, outermost first: a/, a/b/ of a/b/c. */
export function foldersOf(name: string): string[] {
	const out: string[] = [];
	for (let at = name.indexOf("/"); at >= 0; at = name.indexOf("/", at + 1)) out.push(name.slice(0, at + 1));
	return out;
}
