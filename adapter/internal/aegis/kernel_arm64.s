#include "textflag.h"

// S0 to S5 stand in V0 to V5, a block of the message in V7, zeros in V8.

#define LOAD \
	VLD1 (R0), [V0.B16, V1.B16, V2.B16, V3.B16] \
	ADD  $64, R0, R4                            \
	VLD1 (R4), [V4.B16, V5.B16]                 \
	VEOR V8.B16, V8.B16, V8.B16

#define STORE \
	VST1 [V0.B16, V1.B16, V2.B16, V3.B16], (R0) \
	VST1 [V4.B16, V5.B16], (R4)

// V6 = S1 ^ S4 ^ S5 ^ (S2 & S3)
#define KEYSTREAM \
	VAND V2.B16, V3.B16, V6.B16 \
	VEOR V1.B16, V6.B16, V6.B16 \
	VEOR V4.B16, V6.B16, V6.B16 \
	VEOR V5.B16, V6.B16, V6.B16

// x = Round(x, rk): AESE adds its key, which is zero, before the S-box, where AES's round adds it at the end.
#define ROUND(x, rk) \
	AESE  V8.B16, x.B16        \
	AESMC x.B16, x.B16         \
	VEOR  rk.B16, x.B16, x.B16

// Each new block is computed where the one before it stood, the new S0 in V6; then all move to their places.
#define UPDATE \
	VMOV V5.B16, V6.B16         \
	ROUND(V6, V0)               \
	VEOR V7.B16, V6.B16, V6.B16 \
	ROUND(V0, V1)               \
	ROUND(V1, V2)               \
	ROUND(V2, V3)               \
	ROUND(V3, V4)               \
	ROUND(V4, V5)               \
	VMOV V4.B16, V5.B16         \
	VMOV V3.B16, V4.B16         \
	VMOV V2.B16, V3.B16         \
	VMOV V1.B16, V2.B16         \
	VMOV V0.B16, V1.B16         \
	VMOV V6.B16, V0.B16

// func absorbBlocks(s *state, src *byte, n int)
TEXT ·absorbBlocks(SB), NOSPLIT, $0-24
	MOVD s+0(FP), R0
	MOVD src+8(FP), R2
	MOVD n+16(FP), R3
	LOAD

loop:
	VLD1.P 16(R2), [V7.B16]
	UPDATE
	SUB    $1, R3
	CBNZ   R3, loop
	STORE
	RET

// func encryptBlocks(s *state, dst, src *byte, n int)
TEXT ·encryptBlocks(SB), NOSPLIT, $0-32
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD n+24(FP), R3
	LOAD

loop:
	VLD1.P 16(R2), [V7.B16]
	KEYSTREAM
	VEOR   V7.B16, V6.B16, V6.B16
	VST1.P [V6.B16], 16(R1)
	UPDATE
	SUB    $1, R3
	CBNZ   R3, loop
	STORE
	RET

// func decryptBlocks(s *state, dst, src *byte, n int)
TEXT ·decryptBlocks(SB), NOSPLIT, $0-32
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD n+24(FP), R3
	LOAD

loop:
	VLD1.P 16(R2), [V7.B16]
	KEYSTREAM
	VEOR   V6.B16, V7.B16, V7.B16
	VST1.P [V7.B16], 16(R1)
	UPDATE
	SUB    $1, R3
	CBNZ   R3, loop
	STORE
	RET
