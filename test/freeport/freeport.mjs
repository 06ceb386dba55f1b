// Ports for servers that tests in JavaScript start and start again; freeport.go says how they are chosen and why.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

// As in freeport.go, so that neither gives a port that the other has given.
const first = 10_000;
const end = 21_000;
const toHold = end - first;
const attempts = 1000;

const loopback = "127.0.0.1";
const held = []; // of the ports that this process has got

/** Resolves to n different ports on which nothing listens, and which no process that lives has got from here before. */
export async function freePorts(n) {
	const ports = [];
	for (let attempt = 0; attempt < attempts; attempt++) {
		if (ports.length === n) return ports;
		const port = first + Math.floor(Math.random() * (end - first));
		const hold = createSocket("udp4");
		hold.bind({ port: port + toHold, address: loopback, exclusive: true });
		if (!(await works(hold))) continue; // another process holds it
		const server = createServer().listen({ port, host: loopback, exclusive: true });
		if (!(await works(server))) {
			hold.close();
			continue;
		}
		await once(server.close(), "close");
		held.push(hold.unref());
		ports.push(port);
	}
	throw new Error("no free port was found");
}

/** Whether a socket comes to listen. */
async function works(socket) {
	try {
		await once(socket, "listening");
		return true;
	} catch {
		return false;
	}
}
