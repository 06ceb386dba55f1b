/**
 * Where the page is. Everything that a view shows can be read from its address, so that a reload or a link sent to somebody
 * leads to the same view. Names of streams stand in the query, not in the path: no proxy cleans or decodes them there.
 */
import { signal } from "@preact/signals";

export const base = "/dashboard";

export type Route =
	| { page: "basins" }
	| { page: "basin"; basin: string }
	| { page: "stream"; basin: string; stream: string }
	| { page: "usage" }
	| { page: "broker" }
	| { page: "tokens" }
	| { page: "missing"; path: string };

export type Query = Record<string, string>;

/** Reads a path below /dashboard and its query. */
export function parse(path: string, query: URLSearchParams): Route {
	const parts = path.replace(/^\/dashboard/, "").split("/").filter((part) => part !== "");
	const [first, basin, third] = parts;
	if (first === undefined) return { page: "basins" };
	if (parts.length === 1) {
		if (first === "basins" || first === "usage" || first === "broker" || first === "tokens") return { page: first };
	}
	if (first === "basins" && basin !== undefined) {
		const name = decode(basin);
		const stream = query.get("name");
		if (name !== null && parts.length === 2) return { page: "basin", basin: name };
		if (name !== null && parts.length === 3 && third === "stream" && stream) return { page: "stream", basin: name, stream };
	}
	return { page: "missing", path };
}

function decode(part: string): string | null {
	try {
		return decodeURIComponent(part);
	} catch {
		return null;
	}
}

/** The address of a view; parameters that are empty or undefined are left out. */
export function href(route: Route, query: Record<string, string | number | undefined> = {}): string {
	const params = new URLSearchParams();
	if (route.page === "stream") params.set("name", route.stream);
	for (const [name, value] of Object.entries(query)) {
		if (value !== undefined && value !== "") params.set(name, String(value));
	}
	const search = params.size > 0 ? `?${params}` : "";
	switch (route.page) {
		case "basins":
			return `${base}${search}`;
		case "basin":
			return `${base}/basins/${encodeURIComponent(route.basin)}${search}`;
		case "stream":
			return `${base}/basins/${encodeURIComponent(route.basin)}/stream${search}`;
		case "missing":
			return route.path;
		default:
			return `${base}/${route.page}${search}`;
	}
}

const here = () => ({ path: location.pathname, search: location.search });

/** The address that is shown. */
const address = signal(typeof location === "undefined" ? { path: base, search: "" } : here());

export function currentRoute(): Route {
	const { path, search } = address.value;
	return parse(path, new URLSearchParams(search));
}

export function currentQuery(): URLSearchParams {
	return new URLSearchParams(address.value.search);
}

/** Goes to an address of the console. */
export function go(to: string, options: { replace?: boolean } = {}): void {
	if (to === location.pathname + location.search) return;
	const before = location.pathname;
	history[options.replace ? "replaceState" : "pushState"](null, "", to);
	address.value = here();
	if (!options.replace && before !== location.pathname) scrollTo(0, 0);
}

/** Changes parameters of the present view; undefined and "" take one away. */
export function setQuery(changes: Record<string, string | number | undefined>, options: { replace?: boolean } = {}): void {
	const params = new URLSearchParams(location.search);
	for (const [name, value] of Object.entries(changes)) {
		if (value === undefined || value === "") params.delete(name);
		else params.set(name, String(value));
	}
	go(location.pathname + (params.size > 0 ? `?${params}` : ""), options);
}

/** Follows the browser's own back and forward. */
export function listen(): void {
	addEventListener("popstate", () => {
		address.value = here();
	});
}
