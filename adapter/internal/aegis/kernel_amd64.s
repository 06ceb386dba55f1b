#include "textflag.h"

// S0 to S5 stand in X0 to X5, a block of the message in X7. AESENC rk, x sets x to Round(x, rk).

#define LOAD \
	MOVOU 0(DI), X0  \
	MOVOU 16(DI), X1 \
	MOVOU 32(DI), X2 \
	MOVOU 48(DI), X3 \
	MOVOU 64(DI), X4 \
	MOVOU 80(DI), X5

#define STORE \
	MOVOU X0, 0(DI)  \
	MOVOU X1, 16(DI) \
	MOVOU X2, 32(DI) \
	MOVOU X3, 48(DI) \
	MOVOU X4, 64(DI) \
	MOVOU X5, 80(DI)

// X6 = S1 ^ S4 ^ S5 ^ (S2 & S3)
#define KEYSTREAM \
	MOVO X2, X6 \
	PAND X3, X6 \
	PXOR X1, X6 \
	PXOR X4, X6 \
	PXOR X5, X6

// Each new block is computed where the one before it stood, the new S0 in X6; then all move to their places.
#define UPDATE \
	MOVO X5, X6   \
	AESENC X0, X6 \
	PXOR X7, X6   \
	AESENC X1, X0 \
	AESENC X2, X1 \
	AESENC X3, X2 \
	AESENC X4, X3 \
	AESENC X5, X4 \
	MOVO X4, X5   \
	MOVO X3, X4   \
	MOVO X2, X3   \
	MOVO X1, X2   \
	MOVO X0, X1   \
	MOVO X6, X0

// func absorbBlocks(s *state, src *byte, n int)
TEXT ·absorbBlocks(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	LOAD

loop:
	MOVOU (SI), X7
	UPDATE
	ADDQ $16, SI
	DECQ CX
	JNZ  loop
	STORE
	RET

// func encryptBlocks(s *state, dst, src *byte, n int)
TEXT ·encryptBlocks(SB), NOSPLIT, $0-32
	MOVQ s+0(FP), DI
	MOVQ dst+8(FP), DX
	MOVQ src+16(FP), SI
	MOVQ n+24(FP), CX
	LOAD

loop:
	MOVOU (SI), X7
	KEYSTREAM
	PXOR  X7, X6
	MOVOU X6, (DX)
	UPDATE
	ADDQ  $16, SI
	ADDQ  $16, DX
	DECQ  CX
	JNZ   loop
	STORE
	RET

// func decryptBlocks(s *state, dst, src *byte, n int)
TEXT ·decryptBlocks(SB), NOSPLIT, $0-32
	MOVQ s+0(FP), DI
	MOVQ dst+8(FP), DX
	MOVQ src+16(FP), SI
	MOVQ n+24(FP), CX
	LOAD

loop:
	MOVOU (SI), X7
	KEYSTREAM
	PXOR  X6, X7
	MOVOU X7, (DX)
	UPDATE
	ADDQ  $16, SI
	ADDQ  $16, DX
	DECQ  CX
	JNZ   loop
	STORE
	RET
