/** Server-sent events over fetch, read as the HTML standard tells an EventSource to. */

export interface ServerEvent {
	/** The last id that was sent, this event's or one before; "" if there was none. */
	id: string;
	event: string;
	data: string;
}

/**
 * Gives the events of a response as they arrive. It ends as the response does, and breaking off the loop closes the
 * connection. An event that the end cuts off is dropped.
 */
export async function* events(response: Response): AsyncGenerator<ServerEvent, void> {
	if (!response.body) throw new Error("the response has no body");
	let id = "";
	let event = "";
	let data: string[] = [];
	for await (const line of lines(response.body)) {
		if (line === "") {
			if (data.length > 0) yield { id, event: event || "message", data: data.join("\n") };
			event = "";
			data = [];
			continue;
		}
		if (line.startsWith(":")) continue;
		const colon = line.indexOf(":");
		const field = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
		if (field === "id" && !value.includes("\0")) id = value;
		if (field === "event") event = value;
		if (field === "data") data.push(value);
	}
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
	let rest = "";
	const decoder = new TextDecoder();
	for await (const chunk of body) {
		const parts = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r/);
		rest = parts.pop() ?? "";
		yield* parts;
	}
}
