import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { bodies, connect, fails, limit, once, take, texts, uniqueName } from "./support/client.js";

const start = { from: { seqNum: 0 } };

for (const cipher of ["aegis-256", "aes-256-gcm"] as const) {
	describe(`streams encrypted with ${cipher}`, limit, () => {
		const s2 = connect({ retry: once });

		const secret = async () => {
			const name = uniqueName("cipher");
			await s2.basins.create({ basin: name, config: { streamCipher: cipher } });
			const basin = s2.basin(name);
			const made = await basin.streams.create({ stream: "secret" });
			assert.equal(made.cipher, cipher);
			return basin.stream("secret");
		};

		test("what is appended with a key is read with it", async () => {
			await using keyless = await secret();
			await using stream = keyless.withEncryptionKey(randomBytes(32));
			await stream.append(texts("whisper"));
			const session = await stream.appendSession();
			await session.submit(texts("again"));
			await session.close();

			assert.deepEqual(bodies((await stream.read({ start })).records), ["whisper", "again"]);
			const read = await stream.readSession({ start });
			assert.deepEqual(bodies(await take(read, 2)), ["whisper", "again"]);
			await read.cancel();
		});

		test("another key reads nothing", async () => {
			await using keyless = await secret();
			await using stream = keyless.withEncryptionKey(randomBytes(32));
			await stream.append(texts("whisper"));
			await using other = keyless.withEncryptionKey(randomBytes(32));
			await fails(other.read({ start }), 400, "decryption_failed");
			const read = await other.readSession({ start });
			await fails(take(read, 1), 400, "decryption_failed");
		});

		test("without a key only the tail is told", async () => {
			await using keyless = await secret();
			await fails(keyless.append(texts("x")), 400, "bad_header");
			await fails(keyless.read({ start, stop: { waitSecs: 1 } }), 400, "bad_header");
			await fails(take(await keyless.readSession({ start }), 1), 400, "bad_header");
			assert.equal((await keyless.checkTail()).tail.seqNum, 0);
		});
	});
}
