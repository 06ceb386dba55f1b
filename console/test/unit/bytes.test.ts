import { describe, expect, test } from "vitest";
import { asText, bigEndian, fromBase64, fromHex, hexDump, pieces, roughText, toBase64, toHex, utf8 } from "../../src/lib/bytes";

const every = Uint8Array.from({ length: 256 }, (_, i) => i);

describe("bytes", () => {
	test("text is told from what is none", () => {
		expect(asText(utf8("ünï 😀"))).toBe("ünï 😀");
		expect(asText(utf8("\ufeffx"))).toBe("\ufeffx");
		expect(asText(Uint8Array.of(0xff, 0xfe))).toBeNull();
		expect(roughText(Uint8Array.of(0x61, 0xff))).toBe("a\ufffd");
	});
	test("hex and Base64 there and back", () => {
		expect(fromHex(toHex(every))).toEqual(every);
		expect(fromBase64(toBase64(every))).toEqual(every);
		const large = new Uint8Array(100_000).fill(7);
		expect(fromBase64(toBase64(large))).toEqual(large);
	});
	test("what is neither is null", () => {
		for (const text of ["0", "0g", "é"]) expect(fromHex(text)).toBeNull();
		for (const text of ["a", "a*==", "é"]) expect(fromBase64(text)).toBeNull();
	});
	test("Base64 of the URL alphabet, without padding, with white space", () => {
		expect(fromBase64("-_ 8\n")).toEqual(fromBase64("+/8="));
	});
	test("a hex dump", () => {
		expect(hexDump(utf8("hello, world! 123"))).toBe(
			"00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 20 31 32  hello, world! 12\n00000010  33                                                3",
		);
	});
	test("a trim point", () => {
		expect(bigEndian(Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0))).toBe(256n);
		expect(bigEndian(new Uint8Array(8).fill(255))).toBe(0xffff_ffff_ffff_ffffn);
		expect(bigEndian(new Uint8Array(7))).toBeNull();
	});
});

describe("what cannot be seen", () => {
	test("is an escape", () => {
		expect(pieces("a\u202eb\n")).toEqual([
			{ text: "a", unseen: false },
			{ text: "\\u{202e}", unseen: true },
			{ text: "b", unseen: false },
			{ text: "\\n", unseen: true },
		]);
	});
	test("other text is left alone", () => {
		expect(pieces("<script>😀")).toEqual([{ text: "<script>😀", unseen: false }]);
		expect(pieces("")).toEqual([]);
	});
});
